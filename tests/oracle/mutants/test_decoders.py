import pytest

from oracle.adapters import pytorch_decoding
from oracle.conformance._checks.decoders import CHECKS
from oracle.mutants._decoders import MUTANTS
from tests.helpers.decoding_subject import ORACLE, examples_of, kills, meant_for

# Which check is meant for which bugs: those whose ids begin so, the first that fits.
MEANT = {
    "beam-warp": "beam-sampling",
    "beam-draws": "beam-sampling",
    "beam-sampling": "beam-sampling",
    "beam": "beam-search",
    "diverse": "diverse-beam-search",
    "constraint": "constrained-beam-search",
    "speculative": "speculative-decoding",
    "contrastive": "contrastive-search",
    **dict.fromkeys(("temperature-zero", "zero-probability", "not-renormalised"), "sampling"),
    **dict.fromkeys(("seed", "draw", "sampling", "rows-share", "finished-rows"), "sampling"),
    **dict.fromkeys(("budget", "finished", "all-must", "first", "padded"), "greedy"),
    **dict.fromkeys(("eos", "stop-string", "guidance", "ignores"), "greedy"),
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_its_check_kills_it(mutant):
    check = meant_for(mutant, CHECKS, MEANT)
    assert mutant.area == check.area
    assert kills(check, mutant)


def test_each_is_described():
    assert len({mutant.id for mutant in MUTANTS}) == len(MUTANTS)
    assert len({mutant.bug for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.bug and "\n" not in mutant.bug for mutant in MUTANTS)


def test_nothing_is_left_behind():
    assert ORACLE.generate is pytorch_decoding.generate
    for mutant in MUTANTS:
        with mutant.applied():
            pass
    for check in CHECKS:
        example = examples_of(check, 1)[0]
        assert check.judge("float64", example, check.answer(ORACLE, example)).verdict == "match"
