"""What holds of every filter of sampling."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.entropy_filters import eta_cutoff, top_h, typical_p
from npgpt.decoding._processors.filters import epsilon_cutoff, min_p, top_k, top_p
from tests.helpers.rows_and_scores import assert_same
from tests.helpers.score_rows import score_rows

INF = math.inf
FILTERS = {
    "top_h": (top_h, "alpha"),
    "top_k": (top_k, "k"),
    "top_p": (top_p, "p"),
    "min_p": (min_p, "share"),
    "typical_p": (typical_p, "mass"),
    "epsilon_cutoff": (epsilon_cutoff, "epsilon"),
    "eta_cutoff": (eta_cutoff, "epsilon"),
}
# Those whose threshold does not move when what lies below it is taken away.
IDEMPOTENT = {"top_k", "min_p", "epsilon_cutoff"}
SHARES = st.floats(1e-6, 1, exclude_max=True)
QUARTERS = st.integers(-16, 16).map(lambda quarters: quarters / 4)


def filtering(name, share):
    function, parameter = FILTERS[name]
    value = 1 + int(6 * share) if name == "top_k" else share
    return lambda scores, least=1: function(scores, **{parameter: value}, min_tokens_to_keep=least)


@given(scores=score_rows(), share=SHARES, least=st.integers(1, 4))
def test_keep_scores_and_enough_of_them_row_by_row(scores, share, least):
    scores.setflags(write=False)
    for name in FILTERS:
        keep = filtering(name, share)
        result, more = keep(scores), keep(scores, least)
        for kept in (result, more):
            assert kept.dtype == scores.dtype, name
            assert ((kept == scores) | (kept == -INF)).all(), name
        for z, few, many in zip(scores, result, more, strict=True):
            possible = int((z > -INF).sum())
            assert (few > -INF).sum() >= min(possible, 1), name
            assert (many > -INF).sum() >= min(possible, least), name
            assert set(np.flatnonzero(few > -INF)) <= set(np.flatnonzero(many > -INF)), name
            if name != "typical_p":
                assert few.max() == z.max(), f"{name} keeps the likeliest"
            assert_same(keep(z[None], least)[0], many)
        if name in IDEMPOTENT:
            assert_same(keep(result), result)


@given(
    scores=st.lists(QUARTERS, min_size=1, max_size=7, unique=True),
    share=SHARES,
    constant=QUARTERS,
    data=st.data(),
)
def test_neither_a_constant_nor_the_order_of_ids_matters(scores, share, constant, data):
    """Scores are different quarters, so a constant of quarters leaves their gaps exact."""
    order = data.draw(st.permutations(range(len(scores))))
    for name in FILTERS:
        keep = filtering(name, share)
        for dtype in (np.float32, np.float64):
            z = np.array([scores], dtype=dtype)
            result = keep(z)
            assert_same(keep(z + dtype(constant)), result + dtype(constant))
            assert_same(keep(z[:, order]), result[:, order])


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("least", [1, 2])
def test_limits(name, dtype, least):
    keep = filtering(name, 0.1)  # 0.1 makes a top_k of 1

    def kept(scores):
        return keep(np.array([scores], dtype), least)

    nothing, one = [-INF] * 5, [-INF, 3.0, -INF]
    np.testing.assert_array_equal(kept(nothing), [nothing])
    np.testing.assert_array_equal(kept(one), [one])
    certain = [-INF, 5.0, INF, -INF]
    np.testing.assert_array_equal(kept(certain), [[-INF, 5.0 if least > 1 else -INF, INF, -INF]])
    far = np.array([-3e38, 3e38], dtype)
    np.testing.assert_array_equal(kept(far), [[far[0] if least > 1 else -INF, far[1]]])
