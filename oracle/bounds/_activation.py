"""Bounds for the activation functions, gelu among them.

Each takes x (..., n), whose values `dtype` holds exactly, and gives (..., n), float64: the largest
|computed − exact|.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from oracle.bounds._rounding import LIBRARY_UNITS, Array, Format, format_of, gamma

CUBIC = 0.044715
# A library's tanh or erf is taken to be ±1 exactly once the true value is this near to it.
SATURATED = 1 / 64  # units


def gelu_new(x: Array, *, dtype: npt.DTypeLike) -> Array:
    """For `x/2 (1 + tanh t)`, t = √(2/π) (x + 0.044715 x³).

    t is off by γ_7 |t|: two roundings of the cube, two constants rounded, two products, one sum of
    numbers of the same sign. So the tanh is off by γ_7 |t| times the largest slope nearby,
    sech² t (1 − γ_7), and by its library error. The rest of the reasoning is `_half`'s.
    The form `x sigmoid(2t)` stays under the same bound.

    >>> gelu_new(np.array([1.0]), dtype="float16").round(4)
    array([0.0053])
    """
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        t = np.sqrt(2 / np.pi) * np.abs(wide + CUBIC * wide**3)
        error = gamma(7, dtype) * t
        slope = 1 / np.square(np.cosh(t - error))
        short = 2 / (np.exp(2 * t) + 1)  # 1 − tanh t, without cancellation
    return _half(wide, short, np.where(slope > 0, slope * error, 0), format_of(dtype))


def gelu(x: Array, *, dtype: npt.DTypeLike) -> Array:
    """For `x/2 (1 + erf t)`, t = x/√2, or the same by erfc(−t).

    t is off by γ_2 |t|, the constant and a product; erf's slope is 2/√π exp(−t²). The rest of the
    reasoning is `_half`'s.

    >>> gelu(np.array([1.0]), dtype="float16").round(4)
    array([0.0048])
    """
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        t = np.abs(wide) / np.sqrt(2)
        error = gamma(2, dtype) * t
        slope = 2 / np.sqrt(np.pi) * np.exp(-np.square(t - error))
        # 1 − erf t, by way of its logarithm, because scipy's erfc gives up before float64 does.
        short = 2 * np.exp(special.log_ndtr(-np.abs(wide)))
    return _half(wide, short, np.where(slope > 0, slope * error, 0), format_of(dtype))


def _half(x: Array, short: Array, argument_error: Array, form: Format) -> Array:
    """For y = x/2 (1 + f), f = ± (1 − short), off by `argument_error` from its argument alone.

    One call of f (or of the function that stands for 1 + f, so counted at the larger of 1 and
    1 + f), unless f is saturated, or 1 + f as small and its digits those of subnormal numbers; then
    one addition and two products, relative to y; a product with a half may underflow.
    """
    f_plus_one = np.where(x > 0, 2 - short, short)
    call = np.maximum(f_plus_one, 1) * form.library
    lost = short + LIBRARY_UNITS * form.subnormal
    call = np.where(short < SATURATED * form.unit, lost, call)
    half = np.abs(x) / 2
    relative = 3 * form.unit * half * f_plus_one
    return half * (argument_error + call) * (1 + 4 * form.unit) + relative + 2 * form.subnormal


def relu(x: Array, *, dtype: npt.DTypeLike) -> Array:
    """Zero: choosing between x and 0 rounds nothing."""
    return np.zeros(x.shape)


def silu(x: Array, *, dtype: npt.DTypeLike) -> Array:
    """For `x / (1 + exp(−x))`.

    |y| ((1 − s) L + 4u), s = sigmoid(x), L the library error of one exp, which weighs 1 − s in the
    sum; a sum, a quotient, and two more for a reciprocal and a product in its place. Where exp(x)
    is no normal number, exp(−x) may overflow or exp(x) be flushed, and y be lost whole.

    >>> silu(np.array([1.0]), dtype="float16").round(4)
    array([0.0022])
    """
    form, wide = format_of(dtype), x.astype(np.float64)
    with np.errstate(all="ignore"):
        # Both sigmoids by exp of what is not positive: 1 / (1 + exp) would overflow.
        small = np.exp(-np.abs(wide))
        share = np.where(wide > 0, 1, small) / (1 + small)
        y = np.abs(wide) * share
        relative = (1 - share) * form.library + 4 * form.unit
        # |x| exp(−|x|) by its logarithm: where the product is a number, exp alone may be none.
        whole = np.exp(np.log(np.abs(wide)) - np.abs(wide))
        lost = share < 2 * form.normal
        return np.where(lost, whole, y * relative) * (1 + form.library) + 2 * form.subnormal


ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "gelu": gelu,
    "relu": relu,
    "silu": silu,
    "swish": silu,
}
