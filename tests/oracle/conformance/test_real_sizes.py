"""What was RIGHT when every model was a toy, and wrong on every real prompt or model."""

import pytest

from oracle.conformance._catalogue import checks_at
from oracle.conformance._judge import Judgement
from oracle.conformance._outcome import RIGHT, STRICT, WRONG, run
from oracle.conformance._power import mutated
from oracle.mutants._catalogue import named
from tests.helpers.broken_subjects import only_logits

ROWS = {
    "causal-mask-first-tile": "model/long",
    "logits-too-large-when-wide": "model/wide",
    "online-softmax-sum-not-rescaled": "model/long",
}


@pytest.mark.parametrize("bug", ROWS)
def test_a_bug_beyond_toy_size_is_wrong_and_toys_alone_would_not_say_so(bug):
    subject = only_logits(mutated(named(bug), "float32"))
    outcomes = {
        check.name: run(check, subject, count=20 if check.size == "toy" else None, shrink=False)
        for check in checks_at("borders", ["model/*"])
        if check.size == "toy" or check.name == ROWS[bug]
    }
    assert outcomes.pop(ROWS[bug]).verdict == WRONG
    assert {outcome.verdict for outcome in outcomes.values()} <= {RIGHT, STRICT}


@pytest.mark.parametrize("bug", ROWS)
def test_the_smallest_that_is_wrong_is_told(bug):
    (check,) = checks_at("borders", [ROWS[bug]])
    outcome = run(check, only_logits(mutated(named(bug), "float32")))
    assert Judgement(None, (outcome,)).verdict == WRONG
    example = outcome.worst.example
    assert example.batch.tokens.shape[1] <= 33
    assert example.config["n_embd"] <= 132
