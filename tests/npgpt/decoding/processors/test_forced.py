import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.forced import forced_bos, forced_eos
from npgpt.decoding._scoring import Row
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import assert_same, id_sets, rows_and_scores


@given(problem=rows_and_scores(), data=st.data())
def test_bos_at_the_first_new_token_and_eos_at_the_last_place_and_no_other(problem, data):
    rows, scores = problem
    tokens = data.draw(id_sets(scores.shape[1]))
    first, last = scores.copy(), scores.copy()
    for index, row in enumerate(rows):
        if len(row.tokens) == row.prompt_length:
            first[index] = slow.forced(scores[index], tokens[:1] or {0})
        if len(row.tokens) + 1 == row.limit:
            last[index] = slow.forced(scores[index], tokens)
    assert_same(forced_bos(rows, scores, token=(*tokens, 0)[0]), first)
    assert_same(forced_eos(rows, scores, tokens=tokens), last)


@pytest.mark.parametrize("score", [-np.inf, -5.0, np.inf])
def test_what_is_forced_is_possible_whatever_it_scored(score):
    scores = np.array([[score, 9.0]], dtype=np.float32)
    expected = np.array([[0.0, -np.inf]], dtype=np.float32)
    assert_same(forced_bos([Row([5], 1)], scores, token=0), expected)
    assert_same(forced_eos([Row([5, 6], 1, limit=3)], scores, tokens=(0,)), expected)


def test_each_row_has_its_own_limit():
    rows = [Row([5] * length, 1, limit=limit) for length, limit in [(1, 2), (2, 2), (2, 4), (3, 4)]]
    result = forced_eos(rows, np.ones((4, 3)), tokens=(0, 2))
    forced, free = [0.0, -np.inf, 0.0], [1.0, 1.0, 1.0]
    np.testing.assert_array_equal(result, [forced, free, free, forced])
