import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.penalties import (
    frequency_penalty,
    presence_penalty,
    repetition_penalty,
)
from npgpt.decoding._scoring import Row
from tests.helpers import slow_decoding
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import assert_same, by_row, rows_and_scores

PENALTIES = st.one_of(st.sampled_from([0.5, 1.0, 1.3, 2.0]), st.floats(0, 1e300, exclude_min=True))
AMOUNTS = st.one_of(
    st.integers(-8, 8).map(lambda quarters: quarters / 4),
    st.floats(-1e3, 1e3),
    st.sampled_from([-1.7e308, 1.7e308]),
)


@given(problem=rows_and_scores(), penalty=PENALTIES)
def test_repetition_equals_the_plain_definition_in_every_bit(problem, penalty):
    rows, scores = problem

    def plainly(row, z):
        return slow_decoding.repetition_penalty(row.tokens, z, penalty)

    expected = by_row(plainly, scores, rows=rows)
    result = repetition_penalty(rows, scores, penalty=penalty)
    assert_same(result, expected)
    if penalty >= 1:
        assert (result <= scores).all(), "no seen token becomes likelier"


def test_repetition_counts_a_token_once_and_the_prompt_too():
    scores = np.array([[4.0, -4.0, 4.0, -4.0]])
    result = repetition_penalty([Row([0, 0, 1, 1], 2)], scores, penalty=2.0)
    np.testing.assert_array_equal(result, [[2.0, -8.0, 4.0, -4.0]])


@given(problem=rows_and_scores(), amount=AMOUNTS)
def test_frequency_and_presence_equal_the_plain_definition(problem, amount):
    rows, scores = problem
    frequency = by_row(slow.counted, scores, amount, 0.0, rows=rows)
    assert_same(frequency_penalty(rows, scores, penalty=amount), frequency)
    presence = by_row(slow.counted, scores, 0.0, amount, rows=rows)
    assert_same(presence_penalty(rows, scores, penalty=amount), presence)


def test_frequency_and_presence_count_generated_tokens_alone():
    rows, scores = [Row([0, 0, 1, 1, 2], 2), Row([0, 0, 1, 1, 2], 5)], np.zeros((2, 4))
    frequency = frequency_penalty(rows, scores, penalty=2.0)
    np.testing.assert_array_equal(frequency, [[0.0, -4.0, -2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    presence = presence_penalty(rows, scores, penalty=2.0)
    np.testing.assert_array_equal(presence, [[0.0, -2.0, -2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])


def test_an_overflowing_penalty_makes_no_nan():
    scores = np.array([[-math.inf, math.inf]])
    for amount in (-1.7e308, 1.7e308):
        result = frequency_penalty([Row([0, 0, 0, 1, 1], 1)], scores, penalty=amount)
        np.testing.assert_array_equal(result, scores)
