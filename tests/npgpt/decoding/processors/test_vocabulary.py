import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from score_rows import score_rows

from npgpt.decoding.processors.vocabulary import real_vocabulary


@given(scores=score_rows(), size=st.integers(1, 9))
def test_rules_out_what_lies_past_the_vocabulary(scores, size):
    before = scores.copy()
    result = real_vocabulary(scores, size=size)
    np.testing.assert_array_equal(scores, before)
    assert result.dtype == scores.dtype
    np.testing.assert_array_equal(result[:, :size], scores[:, :size])
    assert (result[:, size:] == -np.inf).all()
