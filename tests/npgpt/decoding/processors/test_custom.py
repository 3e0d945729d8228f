import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.custom import checked, prefix_allowed
from npgpt.decoding._scoring import Row
from npgpt.errors import SettingError
from tests.helpers.rows_and_scores import assert_same, id_sets, rows_and_scores

ROW = Row([5, 6], 1, prompt=3)


def call(given_back, dtype=np.float64):
    scores = np.zeros((1, 3), dtype=dtype)
    return checked([ROW], scores, function=lambda rows, scores: given_back, name="mine[0]")


@pytest.mark.parametrize(
    ("given_back", "told"),
    [
        (None, "mine[0] gave scores of kind NoneType"),
        ([[0.0] * 3], "mine[0] gave scores of kind list"),
        (np.zeros((1, 3), dtype=int), "mine[0] gave scores of kind int64"),
        (np.zeros((1, 3), dtype=bool), "mine[0] gave scores of kind bool"),
        (np.zeros(3), "mine[0] gave scores of shape (3,) for (1, 3)"),
        (np.zeros((1, 4)), "mine[0] gave scores of shape (1, 4) for (1, 3)"),
        (np.array([[0.0, 0.0, np.nan]]), "mine[0] gave nan for token 2 in row 0"),
        (np.array([[0.0, np.inf, 0.0]]), "mine[0] gave inf for token 1 in row 0"),
    ],
)
def test_what_is_no_array_of_scores_is_refused_by_name(given_back, told):
    with pytest.raises(SettingError, match=re.escape(told)):
        call(given_back)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keeps_the_dtype_whatever_is_given_back(dtype):
    given_back = np.array([[1e30, -np.inf, -1e300]])
    with np.errstate(over="ignore"):
        expected = given_back.astype(dtype)
    assert_same(call(given_back, dtype), expected)


def test_what_is_too_large_for_the_dtype_is_refused_and_infinity_may_stay():
    with pytest.raises(SettingError, match=r"mine\[0\] gave 1e\+300 for token 0"):
        call(np.array([[1e300, 0.0, 0.0]]), np.float32)
    scores = np.array([[0.0, np.inf]])
    assert_same(checked([Row([0], 1)], scores, function=lambda r, s: s, name="mine"), scores)


def test_writing_to_the_scores_harms_nobody():
    scores = np.zeros((1, 3))
    kept = []

    def write(rows, scores):
        scores[:] = 7
        kept.append(scores)
        return scores

    result = checked([ROW], scores, function=write, name="mine")
    kept[0][:] = 9
    np.testing.assert_array_equal(scores, [[0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(result, [[7.0, 7.0, 7.0]])


@given(problem=rows_and_scores(), data=st.data())
def test_allows_what_the_function_names_and_nothing_else(problem, data):
    rows, scores = problem
    allowed = [data.draw(id_sets(scores.shape[1])) for _ in rows]
    kinds = (list, tuple, set, np.array, iter, lambda ids: dict.fromkeys(ids))
    kind = data.draw(st.sampled_from(kinds))
    asked = []

    def function(prompt, tokens):
        asked.append((prompt, tokens.copy()))
        tokens.clear()
        return kind(allowed[len(asked) - 1])

    result = prefix_allowed(rows, scores, function=function)
    expected = scores.copy()
    for index, ids in enumerate(allowed):
        expected[index, [t for t in range(scores.shape[1]) if t not in ids]] = -np.inf
    assert_same(result, expected)
    assert asked == [(row.prompt, row.tokens) for row in rows]


@pytest.mark.parametrize(
    ("given_back", "told"),
    [
        (None, "gave None (prompt 3, 1 new tokens); it must give token ids"),
        (7, "gave 7 (prompt 3, 1 new tokens)"),
        ([[0], [1, 2]], "gave [[0], [1, 2]]"),
        ([[0, 1]], "token ids are whole numbers"),
        ([0.0], "token ids are whole numbers"),
        ("01", "token ids are whole numbers"),
        ([True, False, True], "token ids are whole numbers"),
        ([0, 3], "the vocabulary has 3 tokens, so give ids from 0 to 2"),
        ([-1], "the vocabulary has 3 tokens"),
        ([10**30], "token ids are whole numbers"),
    ],
)
def test_refuses_what_are_no_ids_of_the_vocabulary(given_back, told):
    with pytest.raises(SettingError, match=re.escape(told)):
        prefix_allowed([ROW], np.zeros((1, 3)), function=lambda prompt, tokens: given_back)


def test_a_padded_column_is_no_token():
    with pytest.raises(SettingError, match="the vocabulary has 2 tokens"):
        prefix_allowed([ROW], np.zeros((1, 3)), function=lambda *_: [2], vocab_size=2)
