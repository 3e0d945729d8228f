import struct
import warnings

import numpy as np
import pytest

from npgpt._kernels.thresholds import UPCAST_TILE
from npgpt._kernels.upcast import is_finite, upcast
from npgpt.ops._upcast import upcast as formula

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


@pytest.mark.parametrize("op", [upcast, formula], ids=["kernel", "formula"])
@BOTH
@WIDE
def test_every_pattern_widens_exactly(op, kind, dtype):
    """All together, where NaN is among them, and the finite ones alone, which go another way."""
    stored, exact = KINDS[kind]
    finite = np.isfinite(exact)
    for subset in (slice(None), finite):
        wide = op(stored[subset], dtype)
        assert wide.dtype == dtype
        assert same(wide, exact[subset])


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
    stored, exact = (np.resize(a, (3, UPCAST_TILE)) for a in KINDS[kind])
    for view in (np.s_[:], np.s_[:, ::2], np.s_[::-1], np.s_[:, 5:-3]):
        assert same(upcast(stored[view], dtype), exact[view])
        assert same(upcast(stored[view].T, dtype), exact[view].T)


@BOTH
def test_into_an_array_that_is_given(kind):
    stored, exact = KINDS[kind]
    out = np.ones((2**16, 2), np.float32)
    assert upcast(stored, out=out[:, 1]).base is out
    assert same(out[:, 1], exact)
    assert (out[:, 0] == 1).all()
    assert np.array_equal(stored.view(np.uint16), PATTERNS)


def test_widening_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for stored, _ in KINDS.values():
            for op in (upcast, formula):
                op(stored)
                op(stored, np.float64)
