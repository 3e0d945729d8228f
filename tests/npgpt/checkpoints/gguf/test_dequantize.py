import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._gguf.reader import BLOCK, BLOCK_BYTES, dequantize_q8_0

quants = pytest.importorskip("gguf.quants", reason="the package gguf is not installed")
Q8_0 = 8


@given(st.binary(max_size=4 * BLOCK_BYTES).map(lambda b: b[: len(b) // BLOCK_BYTES * BLOCK_BYTES]))
def test_any_bytes_as_the_package_gguf_has_them(data):
    stored = np.frombuffer(data, np.uint8)
    with np.errstate(invalid="ignore"):  # NaN and infinite scales
        theirs = quants.dequantize(stored.reshape(-1, BLOCK_BYTES), Q8_0).reshape(-1)
    ours = dequantize_q8_0(stored)
    assert ours.dtype == theirs.dtype == np.float32
    assert not ours.flags.writeable
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs))


def test_every_scale_with_every_code():
    blocks = np.zeros((2**16, 8, BLOCK_BYTES), np.uint8)
    blocks[:, :, :2] = np.arange(2**16, dtype="<u2").view(np.uint8).reshape(-1, 1, 2)
    blocks[:, :, 2:] = np.arange(256, dtype=np.uint8).reshape(8, BLOCK)
    blocks = blocks[:: 2**16 // 1021]  # scales of every exponent
    scales = blocks[:, 0, :2].copy().view("<f2").astype(np.float64)
    codes = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float64)
    with np.errstate(invalid="ignore"):
        exact = scales * codes
    np.testing.assert_array_equal(dequantize_q8_0(blocks.reshape(-1)).reshape(exact.shape), exact)
