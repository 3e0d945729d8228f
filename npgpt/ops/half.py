"""Weights kept in 16 bits, float16 or bfloat16, and widened a tile at a time as they are used.

bfloat16, which NumPy lacks, is the upper half of a float32 and is kept in a uint16.
"""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt import threads
from npgpt.arrays import Array, quiet
from npgpt.ops.tiles import parts

Stored = npt.NDArray[Any]  # float16, or uint16 for the bits of bfloat16

# Shifted so far, a float16 has its sign and its numbers where a float32 has them, and float16's
# exponent bias, 15, in place of 127.
_SHIFT = np.int32(13)
_SIGN_AND_REST = np.int32(-0x70002000)  # bit 31, and bits 27 to 13
_REBIAS = np.float32(2.0 ** (127 - 15))
_BFLOAT16_SHIFT = np.uint32(16)
# The first positive patterns with all bits of the exponent set.
_INFINITE, _BFLOAT16_INFINITE = 0x7C00, 0x7F80
_NEGATIVE = 0x8000

ITEMSIZE = 2  # bytes

FEW = 24  # with more rows than this the product takes longer than widening
_TILE = 2**17  # numbers widened at a time: they stay in a core's second cache
_LARGE_TILE = 2**20  # the same for more rows than FEW
_PIECES = 16  # that a product is shared out in: the same, whatever the number of threads
# Multiplications of a product up to which OpenBLAS uses the thread that asks and no others.
_ALONE, _ALONE_ONE_ROW = 1_000_000, 9_000
_WIDE = 64  # columns of such a product; with more it is slow where W is transposed


def is_finite(stored: Stored) -> bool:
    """Whether no number of a float16 array, or of a bfloat16 one's bits, is NaN or infinite.

    >>> is_finite(np.array([1, 65504], np.float16)), is_finite(np.array([0xFF80], np.uint16))
    (True, False)
    """
    first = _BFLOAT16_INFINITE if stored.dtype.kind == "u" else _INFINITE
    positive = stored.view(np.int16).max(initial=0)
    negative = stored.view(np.uint16).max(initial=0)
    return bool(positive < first and negative < first + _NEGATIVE)


def widen(stored: Stored, dtype: npt.DTypeLike = np.float32, out: Array | None = None) -> Array:
    """The same numbers as float32 or float64: in `out`, or in a new array laid out alike. Exact.

    stored, of any shape, is float16, or uint16 for the bits of bfloat16. NaN stays NaN.

    >>> widen(np.array([0.1, -2.0], np.float16))
    array([ 0.09997559, -2.        ], dtype=float32)
    >>> widen(np.array([0xC000], np.uint16))
    array([-2.], dtype=float32)
    """
    wide: Array = np.empty_like(stored, dtype) if out is None else out
    if stored.size <= _TILE or not (stored.flags.c_contiguous and wide.flags.c_contiguous):
        _widen(stored, wide)
        return wide
    _widen_parts(stored.reshape(-1), wide.reshape(-1), _TILE)
    return wide


def _widen(stored: Stored, wide: Array) -> None:
    if stored.dtype.kind == "u":
        single = wide if wide.dtype == np.float32 else np.empty_like(wide, np.float32)
        bits = single.view(np.uint32)
        bits[...] = stored
        np.left_shift(bits, _BFLOAT16_SHIFT, out=bits)
        if single is not wide:
            with quiet():
                wide[...] = single
    elif wide.dtype == np.float32 and is_finite(stored):
        # About three times as fast as NumPy's own conversion.
        signed = wide.view(np.int32)
        signed[...] = stored.view(np.int16)
        np.left_shift(signed, _SHIFT, out=signed)
        np.bitwise_and(signed, _SIGN_AND_REST, out=signed)
        np.multiply(wide, _REBIAS, out=wide)
    else:
        with quiet():
            wide[...] = stored


def product_widened(x: Array, weight: Stored) -> Array:
    """`x @ widen(W)`, of which never more than a tile is widened at a time.

    x (rows, in), W (in, out) -> (rows, out), in the dtype of x. W is float16, or the bits of
    bfloat16, and may be a transposed view. Arithmetic is to be quiet (`arrays.quiet`).

    >>> product_widened(np.array([[1.0, 2.0]]), np.array([[1, 0], [0, 1]], np.float16))
    array([[1., 2.]])
    """
    if len(x) > FEW:
        return _many_rows(x, weight)
    if weight.flags.c_contiguous:
        return _few_rows(x, weight)
    return _few_rows_by_columns(x, weight)


def _few_rows(x: Array, weight: Stored) -> Array:
    """`x @ W`: each piece is some rows of W, a stretch of memory, and has a sum of its own."""
    length, outs = weight.shape
    pieces = parts(length, -(-length // _PIECES))
    sums = np.zeros((len(pieces), len(x), outs), x.dtype)

    def add(index: int) -> None:
        piece = pieces[index]
        factors, stored = x[:, piece], weight[piece]
        for part in parts(len(stored), max(_TILE // outs, 1)):
            sums[index] += _product(factors[:, part], stored[part])

    threads.run(add, range(len(pieces)))
    total: Array = sums.sum(axis=0)
    return total


def _few_rows_by_columns(x: Array, weight: Stored) -> Array:
    """`x @ W`: each piece is some columns of W, a stretch of memory."""
    length, outs = weight.shape
    y = np.empty((len(x), outs), x.dtype)

    def compute(part: slice) -> None:
        y[:, part] = _product(x, weight[:, part])

    threads.run(compute, parts(outs, max(_TILE // length, 1)))
    return y


def _product(x: Array, stored: Stored) -> Array:
    """`x @ W`, in blocks of columns so small that BLAS starts no threads of its own."""
    wide = _room(stored, x.dtype)
    _widen(stored, wide)
    (rows, depth), columns = x.shape, stored.shape[1]
    width = min(_ALONE // (rows * depth), _WIDE) if rows > 1 else _ALONE_ONE_ROW // depth
    width = max(width, 1)
    count = columns // width
    whole = count * width
    y = np.empty((rows, columns), x.dtype)
    blocks = wide[:, :whole].reshape(depth, count, width).swapaxes(0, 1)
    np.matmul(x, blocks, out=y[:, :whole].reshape(rows, count, width).swapaxes(0, 1))
    np.matmul(x, wide[:, whole:], out=y[:, whole:])
    return y


def _many_rows(x: Array, weight: Stored) -> Array:
    """`x @ W`: some columns of W at a time, which are widened by all threads, then multiplied."""
    length, outs = weight.shape
    y = np.empty((len(x), outs), x.dtype)
    for columns in parts(outs, max(_LARGE_TILE // length, 1)):
        stored = weight[:, columns]
        wide = _room(stored, x.dtype)
        # Stretches of memory, whichever way the weight lies in it.
        pairs = (stored, wide) if weight.flags.c_contiguous else (stored.T, wide.T)
        size = max(_TILE // pairs[0].shape[1], 1)
        _widen_parts(*pairs, size)
        np.matmul(x, wide, out=y[:, columns])
    return y


def _widen_parts(stored: Stored, wide: Array, size: int) -> None:
    threads.run(lambda part: _widen(stored[part], wide[part]), parts(len(stored), size))


_kept = threading.local()


def _room(stored: Stored, dtype: npt.DTypeLike) -> Array:
    """An array for the widened numbers, laid out alike, in memory that this thread keeps."""
    nbytes = stored.size * np.dtype(dtype).itemsize
    room: npt.NDArray[np.uint8] | None = getattr(_kept, "room", None)
    if room is None or room.nbytes < nbytes:
        room = _kept.room = np.empty(nbytes, np.uint8)
    numbers = room[:nbytes].view(dtype)
    if stored.strides[0] < stored.strides[1]:
        return numbers.reshape(stored.shape[::-1]).T
    return numbers.reshape(stored.shape)
