"""Memory layout: column-major matrices, and strides that do not alias in the processor's cache."""

import numpy as np

from npgpt._arrays import Array
from npgpt._kernels.threads import parallel_for
from npgpt._kernels.thresholds import ALIASING_STRIDE, CACHE_LINE, TRANSPOSE_BLOCK
from npgpt._kernels.tiles import slices


def padded_stride(length: int) -> int:
    """How far apart rows of a length should lie: a cache line more where they would alias.

    A processor's cache places a line by its address modulo a power of two. Rows whose stride is a
    multiple of that compete for the same few sets, and evict each other.

    >>> padded_stride(10), padded_stride(1024)
    (10, 1040)
    """
    return length + CACHE_LINE if length and length % ALIASING_STRIDE == 0 else length


def to_column_major(matrix: Array) -> Array:
    """The same matrix with its columns one after another in memory (Fortran order): a copy.

    >>> to_column_major(np.ones((2, 3))).strides
    (8, 16)
    """
    columns = np.empty(matrix.shape[::-1], matrix.dtype)

    def transpose(part: slice) -> None:
        # Block by block: a whole row or column at a time would leave the cache before its reuse.
        for rows in slices(len(matrix), TRANSPOSE_BLOCK):
            columns[part, rows] = matrix[rows, part].T

    parallel_for(transpose, slices(matrix.shape[1], TRANSPOSE_BLOCK))
    return columns.T
