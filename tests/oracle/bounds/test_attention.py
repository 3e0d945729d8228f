import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from oracle.bounds._attention import attention
from oracle.bounds._compare import excess
from oracle.strategies._arrays import FINITE_KINDS, MAX_SEED, arrays
from tests.helpers.rounded_sums import ORDERS, product, total

SLACK = 100  # times the largest honest error on ordinary heads of width 16, 20 keys


def honest(q, k, v, mask, scale, order, *, scale_first=False):
    scale = q.dtype.type(scale)
    # One more axis, for the queries: each has its own row of products.
    kt = k.swapaxes(-1, -2)[..., None, :, :]
    scores = product(q * scale if scale_first else q, kt, order)
    scores = np.where(mask, scores if scale_first else scores * scale, -np.inf).astype(q.dtype)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isneginf(top), 0, top))
    pattern = weights / np.maximum(total(weights, order), np.finfo(q.dtype).tiny)
    return product(pattern, v[..., None, :, :], order)


def exact(q, k, v, mask, scale, hidden=-np.inf):
    q, k, v = (array.astype(np.float64) for array in (q, k, v))
    scores = np.where(mask, q @ k.swapaxes(-1, -2) * scale, hidden)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isneginf(top), 0, top))
    return weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300) @ v


KINDS = tuple(kind for kind in FINITE_KINDS if kind not in ("wide", "huge"))  # no overflow


@given(
    st.data(),
    st.integers(1, 5),
    st.integers(1, 6),
    st.sampled_from(ORDERS),
    st.booleans(),
    st.sampled_from([1.0, 0.3, 20.0]),
)
def test_no_honest_order_exceeds_the_bound(data, query, key, order, scale_first, scale):
    width = data.draw(st.integers(1, 6))
    q = data.draw(arrays((1, 2, query, width), kinds=KINDS))
    k, v = (data.draw(arrays((1, 2, key, width), kinds=KINDS)) for _ in range(2))
    share = data.draw(st.sampled_from([1.0, 0.6, 0.2]))
    mask = np.random.default_rng(data.draw(st.integers(0, MAX_SEED))).random((query, key)) < share
    with np.errstate(all="ignore"):
        computed = honest(q, k, v, mask, scale, order, scale_first=scale_first)
    allowed = attention(q, k, v, mask=mask, scale=scale, dtype=np.float32)
    worst = excess(computed, exact(q, k, v, mask, scale), allowed)
    target(min(worst, 10.0))
    assert np.isfinite(allowed).all()
    assert worst <= 1


def case(size=1.0, query=20, key=20, width=16):
    rng = np.random.default_rng(0)
    shapes = ((1, 2, query, width), (1, 2, key, width), (1, 2, key, width))
    q, k, v = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    return q * np.float32(size), k, v, np.tri(query, key, key - query, dtype=bool), 0.25


def ratio(computed, arguments):
    q, k, v, mask, scale = arguments
    allowed = attention(q, k, v, mask=mask, scale=scale, dtype=np.float32)
    return excess(computed, exact(*arguments), allowed)


@pytest.mark.parametrize("order", ORDERS)
def test_the_bound_is_not_far_above_honest_errors(order):
    assert 1 / SLACK < ratio(honest(*case(), order), case()) <= 1


def test_a_query_that_may_look_at_nothing_gets_exactly_zero():
    q, k, v, mask, scale = case()
    mask = mask & (np.arange(20) > 4)[:, None]
    allowed = attention(q, k, v, mask=mask, scale=scale, dtype=np.float32)
    assert not allowed[:, :, :5].any()
    assert (allowed[:, :, 5:] > 0).all()


def test_no_bound_where_scores_overflow():
    q, k, v, mask, scale = case(size=1e30)
    allowed = attention(q, k * np.float32(1e9), v, mask=mask, scale=scale, dtype=np.float32)
    assert (allowed == np.inf).any()


BUGS = {
    "scale-twice": lambda q, k, v, mask, scale: exact(q, k, v, mask, scale * scale),
    "scale-forgotten": lambda q, k, v, mask, scale: exact(q, k, v, mask, 1.0),
    "no-causal-mask": lambda q, k, v, mask, scale: exact(q, k, v, np.ones_like(mask), scale),
    "causal-off-by-one": lambda q, k, v, mask, scale: exact(q, k, v, np.tri(20, 20, 1) > 0, scale),
    "keys-as-values": lambda q, k, v, mask, scale: exact(q, k, k, mask, scale),
}


@pytest.mark.parametrize("bug", BUGS)
def test_bugs_exceed_it(bug):
    assert ratio(BUGS[bug](*case()), case()) > 1e4


def test_a_mask_of_minus_ten_thousand_exceeds_it_at_large_scores():
    small, large = case(), case(size=3e4)
    assert ratio(exact(*small, hidden=-1e4), small) <= 1
    assert ratio(exact(*large, hidden=-1e4), large) > 10


def test_an_all_masked_row_of_nan_exceeds_it():
    q, k, v, mask, scale = case()
    nothing = np.zeros_like(mask)
    with np.errstate(invalid="ignore"):
        computed = exact(q, k, v, nothing, scale) * np.nan
    assert ratio(computed, (q, k, v, nothing, scale)) == np.inf
