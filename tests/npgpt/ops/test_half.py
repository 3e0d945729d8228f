import struct
import warnings
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle.bounds.linear as bounds
from npgpt.ops import half
from npgpt.ops.half import is_finite, widen
from npgpt.ops.linear import linear
from oracle.ops.linear import linear as oracle_linear
from oracle.strategies.arrays import FINITE_KINDS, arrays
from tests.helpers.held import DTYPES, held_to_oracle

PATTERNS = np.arange(2**16, dtype=np.uint16)
HALVES = np.array([struct.unpack("<e", struct.pack("<H", bits))[0] for bits in range(2**16)])
BRAINS = np.array(
    [struct.unpack("<f", struct.pack("<I", bits << 16))[0] for bits in range(2**16)]
)  # fmt: skip
KINDS = {"float16": (PATTERNS.view(np.float16), HALVES), "bfloat16": (PATTERNS, BRAINS)}
BOTH = pytest.mark.parametrize("kind", KINDS)
WIDE = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def same(ours, exact):
    """Equal, the signs of zeros included, and NaN where NaN is due."""
    number = ~np.isnan(exact)
    return (
        np.array_equal(np.isnan(ours), ~number)
        and np.array_equal(ours[number], exact[number])
        and np.array_equal(np.signbit(ours[number]), np.signbit(exact[number]))
    )


@BOTH
@WIDE
def test_every_pattern_widens_exactly(kind, dtype):
    """All together, where NaN is among them, and the finite ones alone, which go another way."""
    stored, exact = KINDS[kind]
    finite = np.isfinite(exact)
    for some in (slice(None), finite):
        wide = widen(stored[some], dtype)
        assert wide.dtype == dtype
        assert same(wide, exact[some])


@BOTH
def test_each_infinite_pattern_is_seen_among_finite_ones(kind):
    stored, exact = KINDS[kind]
    assert is_finite(stored[np.isfinite(exact)])
    assert is_finite(stored[:0])
    for place in np.flatnonzero(~np.isfinite(exact)):
        assert not is_finite(stored[[1, place, 0x8001]])


@BOTH
@WIDE
def test_what_is_large_or_laid_out_otherwise_widens_the_same(kind, dtype):
    stored, exact = (np.resize(a, (3, half._TILE)) for a in KINDS[kind])
    for view in (np.s_[:], np.s_[:, ::2], np.s_[::-1], np.s_[:, 5:-3]):
        assert same(widen(stored[view], dtype), exact[view])
        assert same(widen(stored[view].T, dtype), exact[view].T)


@BOTH
def test_into_an_array_that_is_given(kind):
    stored, exact = KINDS[kind]
    out = np.ones((2**16, 2), np.float32)
    assert widen(stored, out=out[:, 1]).base is out
    assert same(out[:, 1], exact)
    assert (out[:, 0] == 1).all()
    assert np.array_equal(stored.view(np.uint16), PATTERNS)


def test_widening_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for stored, _ in KINDS.values():
            widen(stored)
            widen(stored, np.float64)


@contextmanager
def small():
    """Tiles of a few numbers, so that small products take many."""
    sizes = {"_TILE": 6, "_LARGE_TILE": 20, "_ALONE": 40, "_ALONE_ONE_ROW": 9, "_WIDE": 3}
    with mock.patch.multiple(half, _PIECES=3, **sizes):
        yield


ROWS = st.sampled_from([0, 1, 2, 5, half.FEW, half.FEW + 1, half.FEW + 9])
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

    computed = held_to_oracle(ours, theirs, bound, [x, widen(stored, dtype), bias])
    assert computed.shape == (rows, m)


@BOTH
@TRANSPOSED
@pytest.mark.parametrize("rows", [1, 2, half.FEW, 40])
def test_at_the_true_sizes_too(kind, transposed, rows):
    """Rows of the identity pick rows of the weight, exactly, past the ends of many tiles."""
    rng = np.random.default_rng(0)
    stored = rng.standard_normal((2301, 777) if transposed else (777, 2301)).astype(np.float16)
    if kind == "bfloat16":
        stored = stored.view(np.uint16) & np.uint16(0xBFFF)  # no exponent so large as infinity's
    stored = stored.T if transposed else stored
    picked = rng.integers(0, 777, rows)
    y = linear(np.eye(777, dtype=np.float32)[picked], stored, None)
    assert np.array_equal(y, widen(stored)[picked])


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
