"""Skinny GEMM: products of a few rows, arranged the way BLAS is fast at.

BLAS packs a matrix into buffers of its own before it multiplies, which pays for many rows; small
products it computes from where the matrix lies. So a large product of a few rows is cut into small
ones.
"""

import numpy as np

from npgpt._arrays import Array
from npgpt._kernels.threads import parallel_for, thread_count
from npgpt._kernels.thresholds import (
    COLUMN_TILE_MAX,
    COLUMN_TILE_MIN,
    SKINNY_GEMM_WEIGHTS_PER_THREAD,
    UNPACKED_BLOCK_MULTIPLE,
    UNPACKED_GEMM_WORK,
)
from npgpt._kernels.tiles import slices


def blocked_matmul(left: Array, right: Array, out: Array) -> None:
    """`out[...] = left @ right`: left (..., rows, in), right (..., in, columns), rows few.

    Block by block of the longer one of `in` and `columns`.

    >>> import numpy as np
    >>> out = np.empty((1, 1))
    >>> blocked_matmul(np.ones((1, 3)), np.ones((3, 1)), out)
    >>> out
    array([[3.]])
    """
    rows, size = left.shape[-2:]
    columns = right.shape[-1]
    if rows * size * columns <= UNPACKED_GEMM_WORK:
        np.matmul(left, right, out=out)
        return
    if size <= columns:
        for block in slices(columns, _block_length(rows * size)):
            np.matmul(left, right[..., block], out=out[..., block])
        return
    first, *others = slices(size, _block_length(rows * columns))
    np.matmul(left[..., first], right[..., first, :], out=out)
    for block in others:
        out += left[..., block] @ right[..., block, :]


def skinny_gemm(x: Array, columns: Array) -> Array:
    """`x @ columns.T`: x (rows, in), columns (out, in) in C order -> (rows, out).

    In tiles of so few columns that BLAS neither packs them nor starts threads of its own.

    >>> import numpy as np
    >>> skinny_gemm(np.ones((2, 3)), np.arange(6.0).reshape(2, 3))
    array([[ 3., 12.],
           [ 3., 12.]])
    """
    rows, size = x.shape
    width = min(max(UNPACKED_GEMM_WORK // (rows * size), COLUMN_TILE_MIN), COLUMN_TILE_MAX)
    tiles, rest = divmod(len(columns), width)
    tiled = tiles * width
    y = np.empty((rows, len(columns)), x.dtype)
    matrices = columns[:tiled].reshape(tiles, width, size).swapaxes(1, 2)
    products = y[:, :tiled].reshape(rows, tiles, width).swapaxes(0, 1)

    def compute(part: slice) -> None:
        np.matmul(x, matrices[part], out=products[part])

    pieces = min(thread_count(), 1 + columns.size // SKINNY_GEMM_WEIGHTS_PER_THREAD)
    parallel_for(compute, slices(tiles, -(-tiles // pieces) or 1))
    if rest:
        np.matmul(x, columns[tiled:].T, out=y[:, tiled:])
    return y


def _block_length(work_per_step: int) -> int:
    """How much of the blocked axis to take, where each step along it is so many multiplications."""
    most = max(UNPACKED_GEMM_WORK // max(work_per_step, 1), 1)
    multiple = UNPACKED_BLOCK_MULTIPLE
    return most - most % multiple if most > multiple else most
