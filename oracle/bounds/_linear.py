"""Bounds for the ops without a function of a maths library: embedding and linear."""

import numpy as np
import numpy.typing as npt

from oracle.bounds._rounding import Array, format_of, gamma


def embedding(ids: Array, weight: Array, *, dtype: npt.DTypeLike) -> Array:
    """Zero: looking up a row rounds nothing."""
    return np.zeros((*ids.shape, weight.shape[1]))


def linear(x: Array, weight: Array, bias: Array | None, *, dtype: npt.DTypeLike) -> Array:
    """Largest |computed − exact| of `x @ W + b` for operands that `dtype` holds exactly.

    γ_{n+1} (|x| |W| + |b|) + n η, n = in, η the smallest subnormal. Each of the n products meets
    its own rounding and at most n of the additions, in whatever order and grouping, the bias's
    included; each may underflow by η/2, which the additions that follow at most double.
    Infinite where a sum of the magnitudes overflows, since then the order decides.

    x (..., in), weight (in, out), bias (out) or None -> (..., out), float64. Source: Higham 2002,
    section 3.1.

    >>> linear(np.ones((1, 2)), np.ones((2, 1)), None, dtype="float16").round(4)
    array([[0.0029]])
    """
    form, n = format_of(dtype), weight.shape[0]
    with np.errstate(over="ignore"):
        size = np.abs(x).astype(np.float64) @ np.abs(weight).astype(np.float64)
        if bias is not None:
            size = size + np.abs(bias)
    allowed = gamma(n + 1, dtype) * size + n * form.subnormal
    return np.where(size * (1 + gamma(n + 1, dtype)) < form.largest, allowed, np.inf)
