"""Softmax with temperature, and its logarithm."""

import math

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt.errors import SettingError


def softmax(logits: Array, *, temperature: float = 1.0, out: Array | None = None) -> Array:
    """`exp(zᵢ/T) / Σⱼ exp(zⱼ/T)`, over the last axis: (..., n) -> (..., n), dtype kept.

    The limits are exact, and no input warns or overflows:

    - −inf gets 0; a row that is all −inf gets all zeros (nothing is possible, nothing is likely);
    - +inf entries share everything equally;
    - T = 0 is the limit T → 0: the largest entries share everything equally;
    - a row that holds NaN gives NaN.

    The result is put into `out`, if that is given: an array like the logits, or they themselves.
    Raises SettingError for a temperature that is negative or not finite.

    >>> import numpy as np
    >>> softmax(np.array([6.0, 3.0])).round(4)
    array([0.9526, 0.0474])
    >>> softmax(np.array([6.0, 3.0]), temperature=1.5).round(4)
    array([0.8808, 0.1192])
    """
    weights = _below_maximum(logits, temperature, out)
    np.exp(weights, out=weights)
    weights /= _above_zero(np.add.reduce(weights, axis=-1, keepdims=True))
    return weights


def log_softmax(logits: Array, *, temperature: float = 1.0) -> Array:
    """`zᵢ/T − log Σⱼ exp(zⱼ/T)`, over the last axis: (..., n) -> (..., n), dtype kept.

    The limits are those of `softmax`: what gets 0 there gets −inf here, a row that is all −inf
    stays all −inf.

    >>> import numpy as np
    >>> log_softmax(np.array([0.0, -np.inf, 0.0])).round(4)
    array([-0.6931,    -inf, -0.6931])
    """
    shifted = _below_maximum(logits, temperature)
    total = np.add.reduce(np.exp(shifted), axis=-1, keepdims=True)
    shifted -= np.log(_above_zero(total))
    return shifted


def _above_zero(total: Array) -> Array:
    """A sum of weights; 1 in result of 0, which is that of a row that is all −inf."""
    above: Array = np.maximum(total, total == 0)
    return above


def _below_maximum(logits: Array, temperature: float, out: Array | None = None) -> Array:
    """`(z − max z) / T`: at most 0, and 0 exactly for the largest, also where T = 0 or max = inf.

    A row that is all −inf stays so. In `out`, or a new array.
    """
    if not 0 <= temperature < math.inf:
        raise SettingError(f"temperature is {temperature!r}; give a finite number, 0 or more")
    # In float64 unless T is 1: no quotient leaves the range, whichever side of it T lies.
    wide = logits if temperature == 1 else logits.astype(np.float64)
    maximum = np.maximum.reduce(wide, axis=-1, keepdims=True, initial=-np.inf)
    result = np.empty_like(logits) if out is None else out
    with quiet():
        if temperature == 1 and np.isfinite(maximum).all():
            np.subtract(wide, maximum, out=result)
            return result
        # Subtracting and dividing only below the maximum: inf − inf and 0 / 0 never arise.
        below = ~(wide == maximum)
        shifted = np.where(maximum > -np.inf, np.zeros_like(wide), wide)
        np.subtract(wide, maximum, out=shifted, where=below)
        if temperature != 1:
            np.divide(shifted, temperature, out=shifted, where=below)
        result[...] = shifted
    return result
