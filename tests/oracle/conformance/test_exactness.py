"""Whoever computes in float32 and claims less is told so, for that hides bugs."""

from dataclasses import replace

import pytest

from oracle.adapters import pytorch
from oracle.adapters.guard import guarded
from oracle.conformance import _power as power
from oracle.conformance._catalogue import named
from oracle.conformance._exactness import exactness
from oracle.conformance._judge import judge
from oracle.conformance._outcome import RIGHT, WRONG, run
from oracle.conformance._program._judge import exit_code
from oracle.conformance._table import as_data, summary
from oracle.mutants._catalogue import MUTANTS

(LOGITS,) = named("model/logits")
(ERF,) = (mutant for mutant in MUTANTS if mutant.id == "gelu-erf")


def outcome(subject, dtype):
    return run(LOGITS, guarded(replace(subject, dtype=dtype)), count=30)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_float32_that_claims_less_is_told(dtype):
    for subject in (pytorch.subject(dtype="float32"), power.mutated(ERF, "float32")):
        found = outcome(subject, dtype)
        assert found.verdict == RIGHT  # which is why it has to be told
        says, more = exactness(dtype, [found])
        assert more
        assert says.startswith(f"computes more exactly than {dtype}: half of its errors are below")
        assert "none that" in says
        assert says.endswith("let it claim float32")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_honest_arithmetic_is_not(dtype):
    assert exactness(dtype, [outcome(pytorch.subject(dtype=dtype), dtype)]) == ("", False)


def test_answers_in_a_wider_format_are_told_and_no_more():
    """As of an engine that adds up its last product in float32."""
    honest = pytorch.subject(dtype="bfloat16")
    wide = replace(honest, logits=lambda *given: honest.logits(*given).astype("float32") * 1.0001)
    says, more = exactness("bfloat16", [outcome(wide, "bfloat16")])
    assert not more
    assert says.endswith("it computes in more at its end")


def test_it_is_wrong_only_where_strictness_was_asked_for():
    subject = guarded(replace(pytorch.subject(dtype="float32"), dtype="bfloat16"))
    for strict, verdict, code in ((False, RIGHT, 0), (True, WRONG, 4)):
        judgement = judge(subject, [LOGITS], count=12, seed=0, strict=strict)
        assert (judgement.verdict, judgement.numbers, exit_code(judgement)) == (
            verdict,
            RIGHT,
            code,
        )
        assert "note: computes more exactly than bfloat16" in summary(judgement)
        assert as_data(judgement)["note"].startswith("computes more exactly")
