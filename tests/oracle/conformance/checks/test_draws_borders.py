"""Copies that share random numbers, and samplers that leave out what is unlikely, are told."""

from dataclasses import replace

import numpy as np
import pytest

from oracle.adapters import npgpt
from oracle.conformance._check import MISMATCH
from oracle.conformance._checks.draws import CATEGORIES
from oracle.conformance._checks.draws_borders import (
    APART,
    CHECKS,
    COPIES,
    groups,
    judge_copies,
    pairs_equal,
)
from oracle.conformance._explore import collect
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, WRONG, run
from tests.helpers.decoding_subject import GARBAGE, ORACLE

COPIED, WIDE = CHECKS
SHARED = {
    "by all copies": lambda row: row // COPIES,
    "in pairs": lambda row: row // 2,
    "in pairs far apart": lambda row: row - row % COPIES + row % 2,
    "by prompts": lambda row: row % COPIES,
    "by neighbouring prompts": lambda row: row - (COPIES if row // COPIES % 2 else 0),
}


def sharing(source):
    """A sampler whose row takes the random numbers of row source(row)."""
    rng = np.random.default_rng(0)

    def draw(next_logits, prompts, settings):
        rows = len(prompts) * settings.get("num_return_sequences", 1)
        uniforms = rng.random((rows, settings["max_new_tokens"]))
        shared = uniforms[[source(row) for row in range(rows)]]
        return ORACLE.generate(next_logits, prompts, settings, shared)

    return replace(ORACLE, draw=draw)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_honest_samplers_pass(check):
    assert run(check, ORACLE).verdict == RIGHT
    assert run(check, npgpt.subject(), count=1).verdict == RIGHT


@pytest.mark.parametrize("how", SHARED)
def test_shared_random_numbers_are_told(how):
    outcome = run(COPIED, sharing(SHARED[how]), count=2, shrink=False)
    assert outcome.verdict == WRONG
    assert "they share random numbers" in outcome.says


def test_what_is_not_shared_is_right():
    assert run(COPIED, sharing(lambda row: row), count=2).verdict == RIGHT


def test_pairs_have_no_row_in_common():
    for apart in APART:
        for first in (0, apart):
            rows = [object() for _ in range(50)]
            assert pairs_equal(rows, apart, first)[0] == 0
    assert pairs_equal([0, 0, 1, 1, 2, 2], 1, 0) == (3, 3)
    assert pairs_equal([0, 0, 1, 1, 2, 2], 1, 1) == (0, 2)


def test_a_sampler_of_the_50_likeliest_is_told():
    def draw(next_logits, prompts, settings):
        return ORACLE.draw(next_logits, prompts, {"top_k": 50, **settings})

    outcome = run(WIDE, replace(ORACLE, draw=draw))
    assert outcome.verdict == WRONG
    assert "ranks" in outcome.says


def test_a_problem_has_no_more_tests_than_the_level_counts_on():
    (example,) = collect(WIDE.examples(ORACLE), 1)
    for _, problem in example.cases:
        named, share = groups(problem)
        assert len(named) <= CATEGORIES
        assert share.sum() == pytest.approx(1)


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_garbage_is_a_mismatch(garbage):
    (example,) = collect(COPIED.examples(ORACLE), 1)
    assert judge_copies("float32", example, garbage).verdict == MISMATCH


def test_only_what_is_known_is_asked():
    assert run(COPIED, replace(ORACLE, settings=())).verdict == NOT_OFFERED
    assert run(WIDE, replace(ORACLE, decoders=("greedy",))).verdict == NOT_OFFERED
