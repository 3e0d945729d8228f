"""Hypothesis strategies of the scores that decoders choose by."""

import numpy as np
from hypothesis import strategies as st

# What goes wrong in practice: ties, tokens ruled out, scores that no exp can take.
SMALL = st.integers(-16, 16).map(lambda quarters: quarters / 4)
ORDINARY = st.floats(-50, 50, width=32)
HUGE = st.sampled_from([-3e38, -1e30, -1e4, 1e4, 1e30, 3e38])
KINDS = (
    SMALL,
    ORDINARY,
    st.one_of(SMALL, st.just(-np.inf)),
    st.one_of(SMALL, HUGE, st.just(-np.inf)),
    st.sampled_from([-np.inf, 0.0]),
    st.sampled_from([-np.inf, 0.0, np.inf]),
)
DTYPES = st.sampled_from([np.float32, np.float64])


@st.composite
def score_rows(draw, *, most_rows=3, most_tokens=8):
    """Arrays (rows, vocab); each row of one kind, one row in five of equal scores."""
    shape = draw(st.integers(1, most_rows)), draw(st.integers(1, most_tokens))
    result = np.empty(shape, dtype=draw(DTYPES))
    for index in range(shape[0]):
        kind = draw(st.sampled_from(KINDS))
        if draw(st.integers(0, 4)) == 0:
            result[index] = draw(kind)
        else:
            result[index] = draw(st.lists(kind, min_size=shape[1], max_size=shape[1]))
    return result
