"""bfloat16, which NumPy lacks: the upper half of a float32, kept in a uint16."""

from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt.arrays import Array
from npgpt.ops.half import widen

Bits = npt.NDArray[np.uint16]
_HALF = 16  # bits of a float32 that bfloat16 drops
_QUIET_NAN = np.uint16(0x7FC0)


def to_float32(bits: npt.NDArray[Any]) -> Array:
    """The float32 of the same value; exact.

    >>> to_float32(np.array([0x3FC0, 0xFF80], np.uint16))
    array([ 1.5, -inf], dtype=float32)
    """
    return widen(np.asarray(bits))


def from_floats(array: Array) -> Bits:
    """The nearest bfloat16 of each float32 or float64, of two equally near the even one.

    A float64 is rounded once, not by way of a rounded float32. NaN stays NaN; what is past the
    largest bfloat16 (3.39e38) by half a step or more becomes infinite.

    >>> [hex(b) for b in from_floats(np.array([1.5, 1.00390625, 1.01171875]))]
    ['0x3fc0', '0x3f80', '0x3f82']
    """
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.asarray(array, np.float32)
    bits = np.array(single).view(np.uint32)
    if array.dtype == np.float64:
        _round_to_odd(bits, single, array)
    # Adding just under half a step, or just half where the kept part is odd, carries into the
    # kept half exactly when rounding up is due.
    kept_is_odd = (bits >> np.uint32(_HALF)) & np.uint32(1)
    bits += kept_is_odd + np.uint32(0x7FFF)
    halves = np.asarray(bits >> np.uint32(_HALF)).astype(np.uint16)
    return np.where(np.isnan(array), _QUIET_NAN, halves)


def _round_to_odd(
    bits: npt.NDArray[np.uint32], single: npt.NDArray[np.float32], exact: Array
) -> None:
    """Make `bits` the float32 of `exact` towards zero, its last bit set where that was inexact.

    So rounded, a float32 has the bits that a second rounding to fewer bits needs to be right
    (Boldo and Melquiond, 2008, "Emulation of FMA and correctly rounded sums").
    """
    bits -= (np.abs(single) > np.abs(exact)).astype(np.uint32)
    with np.errstate(invalid="ignore"):
        bits |= (bits.view(np.float32) != exact).astype(np.uint32)
