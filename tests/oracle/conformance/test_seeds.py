"""A table of recorded answers passes only where the same questions are asked again."""

import pickle
from dataclasses import replace

import pytest

from oracle.adapters.guard import guarded
from oracle.conformance._catalogue import named
from oracle.conformance._judge import judge
from oracle.conformance._outcome import RIGHT, WRONG
from oracle.conformance._table import as_data, summary
from tests.helpers.broken_subjects import clean

CHECKS = named("ops/gelu_new", "model/logits")
COUNT = 10


@pytest.fixture
def replayed():
    """A subject that has nothing but the answers that a right one gave at seed 0."""
    right, table = clean(), {}

    def recording(function):
        def record(*given):
            return table.setdefault(pickle.dumps(given), function(*given))

        return record

    def replaying(function):
        def replay(*given):
            answer = function(*given)
            return table.get(pickle.dumps(given), 0 * answer)

        return replay

    def subject(wrapped):
        gelu = wrapped(right.ops["gelu_new"])
        return guarded(replace(right, logits=wrapped(right.logits), ops={"gelu_new": gelu}))

    assert judge(subject(recording), CHECKS, count=COUNT, seed=0).verdict == RIGHT
    return subject(replaying)


def test_recorded_answers_are_right_at_their_seed_and_wrong_at_another(replayed):
    verdicts = [
        judge(replayed, CHECKS, count=COUNT, seed=seed, diagnosis=False).verdict
        for seed in (0, 1, None)
    ]
    assert verdicts == [RIGHT, WRONG, WRONG]


def test_the_report_says_which_seed():
    judgement = judge(clean(), named("ops/relu"), count=3)
    assert judgement.seed > 0
    assert as_data(judgement)["seed"] == judgement.seed
    assert f"with --seed {judgement.seed} the examples are the same" in summary(judgement)
