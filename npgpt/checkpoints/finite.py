"""Whether arrays hold NaN or infinity, found out at about the speed of memory."""

import numpy as np

from npgpt.arrays import Array

_CHUNK = 2**20  # numbers looked at together, so that no temporary array is large


def is_finite(array: Array) -> bool:
    """Whether no number in the array is NaN or infinite.

    A sum costs a third of looking at every number, and is finite only if all of them are; where
    it is not, for they may also be merely large, every number is looked at.

    >>> is_finite(np.array([3e38, 3e38], np.float32)), is_finite(np.array([1.0, np.nan]))
    (True, False)
    """
    flat = array.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, flat.size, _CHUNK):
            chunk = flat[start : start + _CHUNK]
            if not np.isfinite(chunk.sum()) and not np.isfinite(chunk).all():
                return False
    return True
