import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.lengths import exponential_decay, min_length, min_new_tokens
from npgpt.decoding._scoring import Row
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import assert_same, by_row, id_sets, rows_and_scores

FACTORS = st.one_of(
    st.sampled_from([0.5, 1.0, 1.5, 2.0, 1e300]), st.floats(0, 1e300, exclude_min=True)
)


@given(problem=rows_and_scores(), least=st.integers(0, 8), data=st.data())
def test_hold_every_eos_until_the_minimum_and_nothing_else(problem, least, data):
    rows, scores = problem
    eos = data.draw(id_sets(scores.shape[1]))
    held = by_row(slow.banned, scores, eos)
    short = np.array([[len(row.tokens) < least] for row in rows])
    expected = np.where(short, held, scores)
    assert_same(min_length(rows, scores, length=least, eos_token_ids=eos), expected)
    short = np.array([[len(row.tokens) - row.prompt_length < least] for row in rows])
    expected = np.where(short, held, scores)
    assert_same(min_new_tokens(rows, scores, count=least, eos_token_ids=eos), expected)


@given(problem=rows_and_scores(), start=st.integers(0, 4), factor=FACTORS, data=st.data())
def test_decay_equals_the_plain_definition(problem, start, factor, data):
    rows, scores = problem
    eos = data.draw(id_sets(scores.shape[1]))
    expected = by_row(slow.exponential_decay, scores, start, factor, eos, rows=rows)
    result = exponential_decay(rows, scores, start=start, factor=factor, eos_token_ids=eos)
    assert_same(result, expected)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (0, [-4.0, 4.0]),
        (2, [-4.0, 4.0]),  # not before there are more than start
        (3, [0.0, 8.0]),  # s + |s| (2¹ − 1)
        (4, [8.0, 16.0]),  # s + |s| (2² − 1)
    ],
)
def test_decay_by_hand_counts_new_tokens_alone(new, expected):
    row = Row([5] * (3 + new), 3)
    scores = np.array([[-4.0, 4.0, 1.0]])
    result = exponential_decay([row], scores, start=2, factor=2.0, eos_token_ids=(0, 1))
    np.testing.assert_array_equal(result, [[*expected, 1.0]])


def test_decay_past_all_range_stays_a_score():
    row = Row([5] * 4000, 1)
    scores = np.array([[-math.inf, -1.0, 0.0, 1.0, math.inf]])
    result = exponential_decay([row], scores, start=0, factor=2.0, eos_token_ids=range(5))
    np.testing.assert_array_equal(result, [[-math.inf, math.inf, 0.0, math.inf, math.inf]])
