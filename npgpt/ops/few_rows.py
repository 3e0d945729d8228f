"""Products of a few rows with many matrices, arranged the way BLAS is fast at."""

import numpy as np

from npgpt.arrays import Array
from npgpt.ops.tiles import parts

_SMALL = 1_000_000  # multiplications that OpenBLAS does without copying a matrix first
_WHOLE = 32  # numbers of a block that it computes without a remainder


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


def _length(others: int) -> int:
    """How many of the blocked axis to take, where the other two have a product of `others`."""
    most = max(_SMALL // max(others, 1), 1)
    return most - most % _WHOLE if most > _WHOLE else most
