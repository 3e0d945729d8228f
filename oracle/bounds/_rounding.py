"""The arithmetic that the bounds assume: floating-point formats, and how wrong a step may be.

One addition, multiplication, division or square root gives the exact result times (1 + δ), |δ| at
most `unit`, and a product or quotient that underflows is off by at most half of `subnormal` more
(Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 2.2 and page 56). A fused
multiply-add rounds once where these bounds count two.

The functions of a maths library are not correctly rounded. NumPy's float32 exp, log and tanh in
SIMD are documented or measured at up to 4 units in the last place, other libraries' at less, so
that is what a bound grants: `LIBRARY_UNITS` units, one of them being at most 2 `unit` relative.
Their results below the smallest normal number may be flushed to zero.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

LIBRARY_UNITS = 4


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: significant bits, and the exponents of normal numbers."""

    bits: int
    least_exponent: int
    greatest_exponent: int

    @property
    def unit(self) -> float:
        """The unit roundoff: the largest relative error of one rounding to nearest."""
        return 2.0**-self.bits

    @property
    def library(self) -> float:
        """The largest relative error of one call of exp, log, tanh or erf."""
        return 2 * LIBRARY_UNITS * self.unit

    @property
    def normal(self) -> float:
        """The smallest normal number."""
        return 2.0**self.least_exponent

    @property
    def subnormal(self) -> float:
        """The smallest number above zero."""
        return 2.0 ** (self.least_exponent - self.bits + 1)

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2 - 2.0 ** (1 - self.bits)) * 2.0**self.greatest_exponent


FORMATS = {
    "float64": Format(53, -1022, 1023),
    "float32": Format(24, -126, 127),
    "float16": Format(11, -14, 15),
    "bfloat16": Format(8, -126, 127),
}


def format_of(dtype: npt.DTypeLike) -> Format:
    """The format of a NumPy dtype, or of a name in `FORMATS` (NumPy has no bfloat16).

    >>> format_of(np.float32).unit == float(np.finfo(np.float32).eps) / 2
    True
    """
    return FORMATS[dtype if isinstance(dtype, str) else np.dtype(dtype).name]


def gamma(roundings: int, dtype: npt.DTypeLike) -> float:
    """`n u / (1 − n u)`: the largest relative error of a product of n factors (1 + δ)^±1, |δ| ≤ u.

    Infinite where n u ≥ 1: then nothing can be promised. Source: Higham 2002, lemma 3.1.

    >>> gamma(1, "float16") == 1 / 2047
    True
    """
    error = roundings * format_of(dtype).unit
    return error / (1 - error) if error < 1 else np.inf
