import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._kernels.linear import linear
from npgpt._kernels.thresholds import MIXED_GEMM_ROWS
from npgpt.ops._upcast import upcast
from oracle import bounds
from oracle.ops._linear import linear as oracle_linear
from oracle.strategies._arrays import FINITE_KINDS, arrays
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle
from tests.helpers.small_tiles import TOY, thresholds

KINDS = ("float16", "bfloat16")
BOTH = pytest.mark.parametrize("kind", KINDS)


def small():
    """Tiles of a few numbers, so that small products take many."""
    return thresholds(**TOY, SPLIT_K_PIECES=3)


ROWS = st.sampled_from([0, 1, 2, 5, MIXED_GEMM_ROWS, MIXED_GEMM_ROWS + 1, MIXED_GEMM_ROWS + 9])
TRANSPOSED = pytest.mark.parametrize("transposed", [False, True])


@BOTH
@TRANSPOSED
@given(st.data(), ROWS, st.integers(1, 12), st.integers(1, 14), DTYPES, st.booleans())
def test_a_product_with_widened_weights_is_the_oracles(
    kind, transposed, data, rows, n, m, dtype, biased
):
    x, weight, bias = (
        data.draw(arrays(shape, dtype=kept, kinds=FINITE_KINDS))
        for shape, kept in (((rows, n), dtype), ((n, m), np.float16), ((m,), dtype))
    )
    if kind == "bfloat16":
        weight = (weight.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    stored = np.asarray(weight, order="F" if transposed else "C")

    def ours(x, weight, bias):
        with small():
            return linear(x, stored, bias if biased else None)

    def theirs(x, weight, bias):
        return oracle_linear(x, weight, bias if biased else None)

    def bound(x, weight, bias, *, dtype):
        return bounds.linear(x, weight, bias if biased else None, dtype=dtype)

    computed = held_to_oracle(ours, theirs, bound, [x, upcast(stored, dtype), bias])
    assert computed.shape == (rows, m)


@BOTH
@TRANSPOSED
@pytest.mark.parametrize("rows", [1, 2, MIXED_GEMM_ROWS, 40])
def test_at_the_true_sizes_too(kind, transposed, rows):
    """Rows of the identity pick rows of the weight, exactly, past the ends of many tiles."""
    rng = np.random.default_rng(0)
    stored = rng.standard_normal((2301, 777) if transposed else (777, 2301)).astype(np.float16)
    if kind == "bfloat16":
        stored = stored.view(np.uint16) & np.uint16(0xBFFF)  # no exponent so large as infinity's
    stored = stored.T if transposed else stored
    picked = rng.integers(0, 777, rows)
    y = linear(np.eye(777, dtype=np.float32)[picked], stored, None)
    assert np.array_equal(y, upcast(stored)[picked])


@TRANSPOSED
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_the_same_call_gives_the_same_bits(transposed, rows):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((rows, 60), np.float32)
    stored = rng.standard_normal((60, 80)).astype(np.float16)
    stored = np.asarray(stored, order="F" if transposed else "C")
    with small():
        first = linear(x, stored, None)
        assert all(np.array_equal(linear(x, stored, None), first) for _ in range(10))


def test_leading_axes_stay():
    x, weight = np.ones((2, 3, 4), np.float32), np.ones((4, 5), np.float16)
    assert np.array_equal(linear(x, weight, np.ones(5, np.float32)), np.full((2, 3, 5), 5))


def test_an_infinite_weight_gives_what_ieee_754_says():
    weight = np.array([[np.inf, 1.0], [-np.inf, 2.0]], np.float16)
    x = np.ones((1, 2), np.float32)
    assert np.array_equal(linear(x, weight, None), [[np.nan, 3.0]], equal_nan=True)
