import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.strategies._toy_language_models import KINDS, build_toy, text_of, toy_language_models
from tests.helpers.strategy_reach import simplest


@given(toy_language_models(), st.lists(st.integers(0, 1), max_size=3))
def test_probabilities_are_exact_and_logits_are_their_logarithms(toy, row):
    p = toy.probabilities(row)
    assert 2 <= len(p) == toy.vocab_size <= 6
    assert sum(p) == 1
    assert min(p) >= 0
    for q, logit in zip(p, toy.logits_of([row])[0], strict=True):
        # Each of the two logarithms and their difference is rounded, once and a little.
        assert logit == -math.inf if q == 0 else abs(logit - math.log(q)) <= 4 * math.ulp(64.0)


@given(toy_language_models(), st.lists(st.integers(0, 1), min_size=2, max_size=4))
def test_the_last_two_tokens_decide(toy, row):
    assert toy.probabilities(row) == toy.probabilities(row[-2:]) == toy.probabilities([1, *row])


@given(toy_language_models())
def test_equal_probabilities_have_equal_logits(toy):
    rows = [[0, 0], [0, 1], [1, 0], [1, 1]]
    p = [q for row in rows for q in toy.probabilities(row)]
    logits = dict(zip(p, toy.logits_of(rows).flatten(), strict=True))
    assert [logits[q] for q in p] == toy.logits_of(rows).flatten().tolist()


@given(toy_language_models())
def test_hidden_states_are_those_of_the_tokens(toy):
    one, two = toy.hidden_of([[0, 1], [1]])
    assert (one.dtype, one.shape) == (np.float64, (2, 2))
    assert one[1].tolist() == two[0].tolist() == list(toy.vectors[1])


def test_dtype_and_no_rows():
    toy = build_toy("even", 0, 3, 1)
    assert toy.logits_of([[0]], dtype=np.float32).dtype == np.float32
    assert toy.logits_of([]).shape == (0, 3)
    assert text_of([]) == ""


HALF = Fraction(1, 2)
FEATURES = {
    "ties": lambda toy: len(set(toy.weights[0])) < len(toy.weights[0]) > 2,
    "zeros": lambda toy: 0 in toy.weights[0],
    "near_ties": lambda toy: 0 < abs(toy.probabilities([0])[0] - toy.probabilities([0])[1]) < 1e-9,
    "certainty": lambda toy: 1 in toy.probabilities([0]),
    "the last token": lambda toy: toy.probabilities([0]) != toy.probabilities([1]),
    "the one before": lambda toy: toy.probabilities([0, 0]) != toy.probabilities([1, 0]),
    "six tokens": lambda toy: toy.vocab_size == 6,
    "a zero vector": lambda toy: (0, 0) in toy.vectors,
}


@pytest.mark.parametrize("feature", FEATURES)
def test_reaches(feature):
    simplest(toy_language_models(), FEATURES[feature])


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_can_be_asked_for(kind):
    simplest(toy_language_models(kinds=[kind], vocab=4), lambda toy: toy.vocab_size == 4)


def test_shrinks_to_two_tokens_equally_likely():
    toy = simplest(toy_language_models(), lambda toy: True)
    assert toy.probabilities([]) == (HALF, HALF)
    assert len(toy.weights) == 1
