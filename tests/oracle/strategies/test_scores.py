import math

import numpy as np
import pytest
from hypothesis import given

from oracle.conformance._explore import collect
from oracle.decoding._pipeline import PROCESSORS
from oracle.strategies._decoding_problems import SAMPLING
from oracle.strategies._scores import (
    DEPENDS,
    KINDS,
    NEAR,
    PROCESSED,
    build_logits,
    score_problems,
)
from tests.helpers.strategy_reach import simplest


def test_every_processor_of_scores_alone_is_there():
    others = {"diversity_penalty", "prefix_allowed_tokens_fn", "num_return_sequences"}
    assert set(PROCESSED) == {*PROCESSORS, *SAMPLING} - others


@given(score_problems(PROCESSED, least=1, most=6))
def test_problems_fit_together(problem):
    rows, vocab = problem.logits.shape
    assert problem.tokens.shape[0] == rows
    assert 1 <= problem.prompt_length <= problem.tokens.shape[1]
    assert problem.tokens.min() >= 0
    assert problem.tokens.max() < vocab
    assert problem.logits.astype(np.float32).astype(float).tolist() == problem.logits.tolist()
    assert {DEPENDS[name] for name in problem.settings if name in DEPENDS} <= set(problem.settings)


@pytest.mark.parametrize("name", PROCESSED)
def test_each_setting_is_reached_alone(name):
    allowed = {name, DEPENDS.get(name)}
    for problem in collect(score_problems([name]), 20):
        assert name in problem.settings
        assert set(problem.settings) <= allowed


@pytest.mark.parametrize(("name", "kinds"), [("forced_eos_token_id", 2), ("min_length", 4)])
def test_lengths_stand_on_both_sides_of_the_edge(name, kinds):
    found = set()
    for problem in collect(score_problems([name]), 200):
        end = problem.settings.get("max_length", problem.settings.get("min_length"))
        found.add(min(end - problem.tokens.shape[1], 2) if name != "min_length" else
                  end - problem.tokens.shape[1])  # fmt: skip
    assert len(found) == kinds


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_what_they_say(kind):
    rows = np.concatenate([build_logits([kind], seed, 6) for seed in range(60)])
    possible = [row[row > -math.inf] for row in rows]
    distinct = [len(set(row)) for row in possible]
    holds = {
        "equal": max(distinct) == 1,
        "ordinary": min(distinct) > 1,
        "ties": all(1 <= n <= 5 for n in distinct),
        "dyadic": {len(row) for row in possible} == {1, 2, 4} and max(distinct) == 1,
        "ruled_out": (rows == -math.inf).any() and len({len(row) for row in possible}) > 3,
        "peaked": all(np.exp(row - row.max()).sum() < 2 for row in possible[:5]),
        "large": np.abs(rows).max() > 9e3,
        "flat": all(np.exp(row - row.max()).sum() > 1.2 for row in possible),
        "near_ties": all(
            0 < np.ptp(row) < 6 * NEAR * 2.0**-23 * np.abs(row).max() for row in possible
        ),
    }
    assert holds[kind]


def test_shrinks_to_little():
    found = simplest(score_problems(["top_p"]), lambda problem: True)
    assert found.logits.shape == (1, 2)
    assert found.tokens.shape == (1, 1)
