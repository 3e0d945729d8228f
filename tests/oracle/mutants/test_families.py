from oracle.mutants._catalogue import MUTANTS
from oracle.mutants._families import families


def test_each_mutant_is_in_one_family_of_one_area():
    grouped = families()
    assert sorted(m.id for family in grouped.values() for m in family) == sorted(
        m.id for m in MUTANTS
    )
    assert all(len({mutant.area for mutant in family}) == 1 for family in grouped.values())
    assert len(grouped) >= 18


def test_a_family_has_the_mutants_of_its_module_alone():
    ids = [mutant.id for mutant in families()["Layer normalisation"]]
    assert all(id.startswith("layernorm-") for id in ids)
    assert len(ids) > 10
