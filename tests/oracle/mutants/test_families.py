from oracle.conformance._evidence import family
from oracle.mutants._catalogue import MUTANTS
from oracle.mutants._families import families


def test_each_mutant_is_in_one_family_of_one_area():
    grouped = families()
    ids = sorted(mutant.id for mutants in grouped.values() for mutant in mutants)
    assert ids == sorted(mutant.id for mutant in MUTANTS)
    for mutants in grouped.values():  # ops and the cache are the model's
        assert len({family(mutant.area) for mutant in mutants}) == 1
    assert len(grouped) >= 18


def test_a_family_has_the_mutants_of_its_module_alone():
    ids = [mutant.id for mutant in families()["Layer normalisation"]]
    assert all(id.startswith("layernorm-") for id in ids)
    assert len(ids) > 10
