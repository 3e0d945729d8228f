import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.vocabulary import begin_suppress, real_vocabulary, suppress
from npgpt.decoding._scoring import Row
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import assert_same, by_row, id_sets, rows_and_scores
from tests.helpers.score_rows import score_rows


@given(scores=score_rows(), size=st.integers(1, 9))
def test_rules_out_what_lies_past_the_vocabulary(scores, size):
    before = scores.copy()
    result = real_vocabulary(scores, size=size)
    np.testing.assert_array_equal(scores, before)
    assert result.dtype == scores.dtype
    np.testing.assert_array_equal(result[:, :size], scores[:, :size])
    assert (result[:, size:] == -np.inf).all()


@given(problem=rows_and_scores(), data=st.data())
def test_suppress_acts_always_and_begin_suppress_at_the_first_new_token(problem, data):
    rows, scores = problem
    tokens = data.draw(id_sets(scores.shape[1]))
    always = by_row(slow.banned, scores, tokens)
    assert_same(suppress(scores, tokens=tokens), always)
    first = np.array([[len(row.tokens) == row.prompt_length] for row in rows])
    expected = np.where(first, always, scores)
    assert_same(begin_suppress(rows, scores, tokens=tokens), expected)


def test_begin_suppress_by_hand():
    rows = [Row([5, 6], 2), Row([5, 6], 1)]
    result = begin_suppress(rows, np.zeros((2, 3)), tokens=(0, 2))
    np.testing.assert_array_equal(result, [[-np.inf, 0.0, -np.inf], [0.0, 0.0, 0.0]])
