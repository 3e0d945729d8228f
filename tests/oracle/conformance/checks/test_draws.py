from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from oracle.conformance._check import MATCH, MISMATCH
from oracle.conformance._checks import draws
from oracle.conformance._checks.draws import (
    CATEGORIES,
    CHECKS,
    DRAWS,
    FALSE_ALARMS,
    LEVEL,
    MOST_PROBLEMS,
    DrawProblem,
    exact,
    judge,
    power,
)
from oracle.conformance._explore import collect
from oracle.strategies._toy_language_models import build_toy
from tests.helpers.decoding_subject import GARBAGE, ORACLE, examples_of, verdicts

(CHECK,) = CHECKS
EVEN = DrawProblem(build_toy("even", 0, 2, 1), (0,), {"do_sample": True, "max_new_tokens": 2})


def rows(**counts):
    """Rows of the texts "ab" and the like, 0 first, so many of each."""
    return [[0, *map("ab".index, text)] for text, n in counts.items() for _ in range(n)]


def test_the_false_alarms_of_a_run_add_up_to_no_more_than_is_stated():
    assert MOST_PROBLEMS * CATEGORIES * LEVEL <= FALSE_ALARMS * (1 + 2.0**-50)
    assert FALSE_ALARMS <= 1e-6
    for example in examples_of(CHECK, 60):
        texts = exact(example)
        assert len(texts) <= CATEGORIES
        assert sum(texts.values()) == 1


@pytest.mark.parametrize("p", [1 / 36, 0.1, 0.25, 0.5, 0.9, 1e-4])
def test_an_honest_text_fails_as_seldom_as_its_level_says(p):
    low, high = draws.passing(p)
    counts = np.arange(DRAWS + 1)
    edges = max(low - 1, 0), low, high, min(high + 1, DRAWS)
    fails = np.array([draws.error_of(int(n), p) > 1 for n in edges])
    assert fails.tolist() == [low > 0, False, False, high < DRAWS]
    wrong = stats.binom.pmf(counts[(counts < low) | (counts > high)], DRAWS, p).sum()
    assert wrong <= LEVEL
    assert power(p, p) <= LEVEL


def test_power_is_as_stated():
    assert power(0.25, 0.342) >= 0.99 > power(0.25, 0.34)
    assert power(1 / 36, 0.069) >= 0.99 > power(1 / 36, 0.066)


def test_power_is_what_is_measured():
    rng = np.random.default_rng(0)
    low, high = draws.passing(0.25)
    counts = rng.binomial(DRAWS, 0.33, 2000)
    seen = np.mean((counts < low) | (counts > high))
    expected = power(0.25, 0.33)
    # Six standard deviations of a share of 2000.
    assert abs(seen - expected) <= 6 * np.sqrt(expected * (1 - expected) / 2000)


def test_an_honest_sampler_passes():
    found = verdicts(CHECK, ORACLE, "float64", 60)
    assert {finding.verdict for finding in found} == {MATCH}
    assert max(finding.error for finding in found) < 1


def test_what_is_drawn_too_often_is_told():
    quarter = DRAWS // 4
    even = rows(aa=quarter, ab=quarter, ba=quarter, bb=quarter)
    assert judge("float32", EVEN, even).verdict == MATCH
    found = judge("float32", EVEN, rows(aa=2 * quarter, ab=quarter, ba=quarter))
    assert found.verdict == MISMATCH
    assert found.error > 1
    wanted = "[0, 0] is drawn 1000 times of 2000; its probability is 0.2500"
    assert found.says in (wanted, wanted.replace("[0, 0]", "[1, 1]").replace("1000", "0"))


def test_what_cannot_be_drawn_is_wrong_once_drawn():
    given = EVEN._replace(settings=EVEN.settings | {"eos_token_id": 1})
    assert exact(given)[(1,)] == Fraction(1, 2)
    found = judge("float32", given, [*rows(aa=DRAWS - 1), [0, 1, 0]])
    assert (found.verdict, found.error) == (MISMATCH, np.inf)
    assert found.says == "[1, 0] has probability 0 and is drawn 1 times"


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_garbage_is_a_mismatch(garbage):
    found = judge("float32", EVEN, garbage)
    assert found.verdict == MISMATCH
    assert found.says
    assert CHECK.distance("float32", EVEN, garbage, rows(aa=DRAWS)) == np.inf


def test_two_honest_samples_are_near_each_other():
    example = examples_of(CHECK, 60)[0]
    one, other = CHECK.answer(ORACLE, example), CHECK.answer(ORACLE, example)
    assert CHECK.distance("float32", example, one, one) <= 1
    assert CHECK.distance("float32", example, one, other) <= 1
    biased = rows(aa=DRAWS)
    even = rows(aa=500, ab=500, ba=500, bb=500)
    assert CHECK.distance("float32", EVEN, biased, even) > 1


def test_only_what_is_known_is_asked():
    assert CHECK.examples(replace(ORACLE, draw=None)) is None
    assert CHECK.examples(replace(ORACLE, decoders=("greedy",))) is None
    plain = replace(ORACLE, settings=())
    names = Counter(name for e in collect(CHECK.examples(plain), 20) for name in e.settings)
    assert set(names) == {"do_sample", "max_new_tokens"}
