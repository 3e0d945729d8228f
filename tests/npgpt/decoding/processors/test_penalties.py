import numpy as np
import slow_decoding as slow
from hypothesis import given
from hypothesis import strategies as st
from score_rows import score_rows

from npgpt.decoding.processors.penalties import repetition_penalty
from npgpt.decoding.row import Row

PENALTIES = st.one_of(st.sampled_from([0.5, 1.0, 1.3, 2.0]), st.floats(0, 1e300, exclude_min=True))


@given(scores=score_rows(), penalty=PENALTIES, data=st.data())
def test_equals_the_plain_definition_in_every_bit(scores, penalty, data):
    vocab = scores.shape[1]
    tokens = st.lists(st.integers(0, vocab - 1), min_size=1, max_size=6)
    rows = [Row(data.draw(tokens), 1) for _ in scores]
    before = scores.copy()
    result = repetition_penalty(rows, scores, penalty=penalty)
    plain = [
        slow.repetition_penalty(row.tokens, z, penalty)
        for row, z in zip(rows, scores.tolist(), strict=True)
    ]
    with np.errstate(over="ignore"):
        expected = np.array(plain).astype(scores.dtype)
    assert result.dtype == scores.dtype
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(scores, before)


@given(scores=score_rows(), penalty=st.floats(1.0, 10.0), data=st.data())
def test_above_one_never_makes_a_seen_token_likelier(scores, penalty, data):
    row = Row(data.draw(st.lists(st.integers(0, scores.shape[1] - 1), min_size=1)), 1)
    result = repetition_penalty([row] * len(scores), scores, penalty=penalty)
    assert (result <= scores).all()


def test_counts_a_token_once_and_the_prompt_too():
    scores = np.array([[4.0, -4.0, 4.0, -4.0]])
    result = repetition_penalty([Row([0, 0, 1, 1], 2)], scores, penalty=2.0)
    np.testing.assert_array_equal(result, [[2.0, -8.0, 4.0, -4.0]])
