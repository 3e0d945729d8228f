"""Upcast: the numbers of weights kept in 16 bits, float16 or bfloat16.

bfloat16, which NumPy lacks, is the upper half of a float32: its sixteen bits are kept in a uint16.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, quiet

Stored = npt.NDArray[Any]  # float16, or uint16 for the bits of bfloat16

BFLOAT16_SHIFT = np.uint32(16)


def upcast(stored: Stored, dtype: npt.DTypeLike = np.float32) -> Array:
    """The same numbers as float32 or float64, exactly; an array of that dtype is given back as is.

    stored, of any shape, is float16, or uint16 for the bits of bfloat16. NaN stays NaN.

    Source: IEEE 754-2019, section 3.4, for float16.

    >>> upcast(np.array([0.1, -2.0], np.float16))
    array([ 0.09997559, -2.        ], dtype=float32)
    >>> upcast(np.array([0xC000], np.uint16))
    array([-2.], dtype=float32)
    """
    if stored.dtype.kind == "u":
        stored = (stored.astype(np.uint32) << BFLOAT16_SHIFT).view(np.float32)
    with quiet():  # a signalling NaN would warn
        wide: Array = stored.astype(dtype, copy=False)
    return wide
