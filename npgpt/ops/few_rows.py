"""Products of a few rows, arranged the way BLAS is fast at.

BLAS copies a matrix into blocks of its own before it multiplies, which pays for many rows; small
products it computes from where the matrix lies.
"""

import numpy as np

from npgpt import threads
from npgpt.arrays import Array
from npgpt.ops.tiles import parts

FEW = 8  # rows for which tiles of columns are the fastest
_SMALL = 1_000_000  # multiplications that OpenBLAS does without copying a matrix first
_WHOLE = 32  # numbers of a block that it computes without a remainder
_WIDE = 32  # columns of a tile; wider ones gain nothing
_SHARED = 1 << 18  # numbers of a matrix for each thread, so that calling it pays


def in_blocks(left: Array, right: Array, out: Array) -> None:
    """`out[...] = left @ right`: left (..., rows, in), right (..., in, columns), rows few.

    Block by block of the longer one of `in` and `columns`.

    >>> import numpy as np
    >>> out = np.empty((1, 1))
    >>> in_blocks(np.ones((1, 3)), np.ones((3, 1)), out)
    >>> out
    array([[3.]])
    """
    rows, size = left.shape[-2:]
    columns = right.shape[-1]
    if rows * size * columns <= _SMALL:
        np.matmul(left, right, out=out)
        return
    if size <= columns:
        for part in parts(columns, _length(rows * size)):
            np.matmul(left, right[..., part], out=out[..., part])
        return
    first, *others = parts(size, _length(rows * columns))
    np.matmul(left[..., first], right[..., first, :], out=out)
    for part in others:
        out += left[..., part] @ right[..., part, :]


def by_columns(x: Array, columns: Array) -> Array:
    """`x @ columns.T`: x (rows, in), columns (out, in) in C order -> (rows, out).

    >>> import numpy as np
    >>> by_columns(np.ones((2, 3)), np.arange(6.0).reshape(2, 3))
    array([[ 3., 12.],
           [ 3., 12.]])
    """
    rows, size = x.shape
    width = min(max(_SMALL // (rows * size), 8), _WIDE)
    tiles, rest = divmod(len(columns), width)
    whole = tiles * width
    y = np.empty((rows, len(columns)), x.dtype)
    matrices = columns[:whole].reshape(tiles, width, size).swapaxes(1, 2)
    products = y[:, :whole].reshape(rows, tiles, width).swapaxes(0, 1)

    def compute(part: slice) -> None:
        np.matmul(x, matrices[part], out=products[part])

    pieces = min(threads.count(), 1 + columns.size // _SHARED)
    threads.run(compute, parts(tiles, -(-tiles // pieces) or 1))
    if rest:
        np.matmul(x, columns[whole:].T, out=y[:, whole:])
    return y


def _length(others: int) -> int:
    """How many of the blocked axis to take, where the other two have a product of `others`."""
    most = max(_SMALL // max(others, 1), 1)
    return most - most % _WHOLE if most > _WHOLE else most
