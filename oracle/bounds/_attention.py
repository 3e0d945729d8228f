"""Bound for scaled dot-product attention."""

import numpy as np
import numpy.typing as npt

from oracle.bounds._rounding import Array, format_of, gamma
from oracle.bounds._softmax import mass_error


def attention(
    query: Array, key: Array, value: Array, *, mask: Array, scale: float, dtype: npt.DTypeLike
) -> Array:
    """Largest |computed − exact| of softmax(scale · q kᵀ, −inf where not mask) v.

    A score s is off by E = γ_{head_dim+2} |scale| |q| |k| (the products' sum, and the scale rounded
    and multiplied in, before or after), and z = s − max s by E, the largest E of the row (should
    the shift be taken off another entry), and u of the whole. `softmax.mass_error` carries that to
    the pattern p, ΔP; then p v is off by Σ ΔP |v| + γ_key Σ (p + ΔP) |v|, with underflows of η.
    No promise (infinity) where a score or
    twice a value overflows. A query that may look at nothing gets exactly 0.

    Shapes as in the op; -> (batch, head, query, head_dim), float64.

    >>> one = np.ones((1, 1, 1, 1))
    >>> attention(one, one, one, mask=np.array(True), scale=1.0, dtype="float16").round(4)
    array([[[[0.0154]]]])
    """
    form, length = format_of(dtype), key.shape[-2]
    q, k, v = (array.astype(np.float64) for array in (query, key, value))
    with np.errstate(all="ignore"):
        scores = np.where(mask, q @ k.swapaxes(-1, -2) * scale, -np.inf)
        size = np.where(mask, np.abs(q) @ np.abs(k).swapaxes(-1, -2), 0)
        underflow = 2 * q.shape[-1] * form.subnormal
        error = gamma(q.shape[-1] + 2, dtype) * size * abs(scale) + underflow
        error = error + error.max(-1, keepdims=True, initial=0)
        top = scores.max(-1, keepdims=True, initial=-np.inf)
        z = np.where(mask, scores - top, -np.inf)
        error = np.where(mask, error + form.unit * (np.abs(z) + error), 0)
        pattern_error = mass_error(z, error, dtype)
        pattern = np.exp(z)
        pattern = pattern / np.maximum(pattern.sum(-1, keepdims=True), form.normal)
        out = (pattern_error + gamma(length, dtype) * (pattern + pattern_error)) @ np.abs(v)
        out = out + 2 * length * form.subnormal * np.any(mask, -1, keepdims=True)
        greatest = size.max(-1, keepdims=True, initial=0) * max(abs(scale), 1)
        greatest = np.maximum(greatest, 2 * np.abs(v).max(initial=0))
    return np.where(greatest >= form.largest, np.inf, out)
