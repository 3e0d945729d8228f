"""Mixed-precision GEMM: `x @ W` with W kept in 16 bits, upcast a tile at a time as it is used."""

import threading

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array
from npgpt._kernels.threads import parallel_for
from npgpt._kernels.thresholds import (
    MIXED_COLUMN_TILE,
    MIXED_GEMM_ROWS,
    ONE_THREAD_GEMM_WORK,
    ONE_THREAD_GEMV_WORK,
    SPLIT_K_PIECES,
    UPCAST_SHARED_TILE,
    UPCAST_TILE,
)
from npgpt._kernels.tiles import slices
from npgpt._kernels.upcast import upcast_tile, upcast_tiles
from npgpt.ops._upcast import Stored


def mixed_gemm(x: Array, weight: Stored) -> Array:
    """`x @ upcast(W)`, of which never more than a tile is upcast at a time.

    x (rows, in), W (in, out) -> (rows, out), in the dtype of x. W is float16, or the bits of
    bfloat16, and may be a transposed view. Arithmetic is to be quiet (`arrays.quiet`).

    >>> mixed_gemm(np.array([[1.0, 2.0]]), np.array([[1, 0], [0, 1]], np.float16))
    array([[1., 2.]])
    """
    if len(x) > MIXED_GEMM_ROWS:
        return _by_shared_tiles(x, weight)
    if weight.flags.c_contiguous:
        return _split_k(x, weight)
    return _by_columns(x, weight)


def _split_k(x: Array, weight: Stored) -> Array:
    """`x @ W`: each piece is some rows of W, a stretch of memory, and has a sum of its own."""
    length, outs = weight.shape
    pieces = slices(length, -(-length // SPLIT_K_PIECES))
    sums = np.zeros((len(pieces), len(x), outs), x.dtype)

    def add(index: int) -> None:
        piece = pieces[index]
        factors, stored = x[:, piece], weight[piece]
        for tile in slices(len(stored), max(UPCAST_TILE // outs, 1)):
            sums[index] += _tile_product(factors[:, tile], stored[tile])

    parallel_for(add, range(len(pieces)))
    total: Array = sums.sum(axis=0)
    return total


def _by_columns(x: Array, weight: Stored) -> Array:
    """`x @ W`: each tile is some columns of W, a stretch of memory."""
    length, outs = weight.shape
    y = np.empty((len(x), outs), x.dtype)

    def compute(tile: slice) -> None:
        y[:, tile] = _tile_product(x, weight[:, tile])

    parallel_for(compute, slices(outs, max(UPCAST_TILE // length, 1)))
    return y


def _tile_product(x: Array, stored: Stored) -> Array:
    """`x @ W`, in blocks of columns so small that BLAS starts no threads of its own."""
    wide = _scratch(stored, x.dtype)
    upcast_tile(stored, wide)
    (rows, depth), columns = x.shape, stored.shape[1]
    if rows > 1:
        width = min(ONE_THREAD_GEMM_WORK // (rows * depth), MIXED_COLUMN_TILE)
    else:
        width = ONE_THREAD_GEMV_WORK // depth
    width = max(width, 1)
    count = columns // width
    blocked = count * width
    y = np.empty((rows, columns), x.dtype)
    blocks = wide[:, :blocked].reshape(depth, count, width).swapaxes(0, 1)
    np.matmul(x, blocks, out=y[:, :blocked].reshape(rows, count, width).swapaxes(0, 1))
    np.matmul(x, wide[:, blocked:], out=y[:, blocked:])
    return y


def _by_shared_tiles(x: Array, weight: Stored) -> Array:
    """`x @ W`: some columns of W at a time, which all threads upcast, and BLAS then multiplies."""
    length, outs = weight.shape
    y = np.empty((len(x), outs), x.dtype)
    for columns in slices(outs, max(UPCAST_SHARED_TILE // length, 1)):
        stored = weight[:, columns]
        wide = _scratch(stored, x.dtype)
        # Stretches of memory, whichever way the weight lies in it.
        pair = (stored, wide) if weight.flags.c_contiguous else (stored.T, wide.T)
        upcast_tiles(*pair, max(UPCAST_TILE // pair[0].shape[1], 1))
        np.matmul(x, wide, out=y[:, columns])
    return y


_thread_local = threading.local()


def _scratch(stored: Stored, dtype: npt.DTypeLike) -> Array:
    """A scratch buffer for the upcast numbers, laid out alike, in memory that this thread keeps."""
    nbytes = stored.size * np.dtype(dtype).itemsize
    buffer: npt.NDArray[np.uint8] | None = getattr(_thread_local, "buffer", None)
    if buffer is None or buffer.nbytes < nbytes:
        buffer = _thread_local.buffer = np.empty(nbytes, np.uint8)
    numbers = buffer[:nbytes].view(dtype)
    if stored.strides[0] < stored.strides[1]:
        return numbers.reshape(stored.shape[::-1]).T
    return numbers.reshape(stored.shape)
