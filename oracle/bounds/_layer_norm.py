"""Bound for layer normalisation."""

import numpy as np
import numpy.typing as npt

from oracle.bounds._rounding import Array, format_of, gamma


def layer_norm(x: Array, weight: Array, bias: Array, *, eps: float, dtype: npt.DTypeLike) -> Array:
    """Largest |computed − exact| of layer norm over the last axis, for operands in `dtype`.

    With d = x − mean, σ² = mean d², A = σ² + eps and z = d / √A, an honest implementation computes

    - the mean to within m = γ_n mean|x| + n η (n − 1 additions and a division, any order, or
      a running mean, whose every step may underflow);
    - d to within e = m + u (|d| + m);
    - the variance to within V = m² + γ_{n+3} (σ² + m²) + 2 γ_n σ √mean x² + η. The deviations sum
      to 0, so the mean's error enters squared (m²); three roundings of each squared deviation,
      n − 1 additions and a division give the second term; the third grants the running (Welford)
      and pairwise algorithms the error they have beyond two passes over the data (Chan, Golub and
      LeVeque 1983). `mean x² − mean²`, whose error grows by another factor √mean x² / σ, is not
      granted;
    - 1/√A to within the relative ρ = (1 − (V + 2u (A + V)) / A)^(−1/2) (1 + u)³ − 1: eps rounded,
      the sum, the root, and a reciprocal and a product in place of one division;
    - z weight + bias with one rounding each.

    Where V is not small beside A that is no bound. But a normalised value is at most √n if the
    variance was made of the same deviations, and at most (|d| + m) / √eps whatever it was made of.
    Infinite where neither holds (eps is no normal number of the dtype, so the computed root may be
    0), and where a sum of squares or the result overflows.

    x (..., n), weight and bias (n) -> (..., n), float64.

    >>> row, one = np.array([-1.0, 1.0]), np.ones(2)
    >>> layer_norm(row, one, 0 * one, eps=0.0, dtype="float16").round(3)
    array([0.007, 0.007])
    """
    form, n = format_of(dtype), x.shape[-1]
    u, eta = form.unit, form.subnormal
    wide, gain = x.astype(np.float64), np.abs(weight.astype(np.float64))
    with np.errstate(all="ignore"):
        d = np.abs(wide - wide.mean(-1, keepdims=True))
        variance = np.square(d).mean(-1, keepdims=True)
        squares = np.square(wide).mean(-1, keepdims=True)
        m = gamma(n, dtype) * np.abs(wide).mean(-1, keepdims=True) + n * eta
        v = m * m + gamma(n + 3, dtype) * (variance + m * m) + eta
        v = v + 2 * gamma(n, dtype) * np.sqrt(variance * squares)
        a = variance + eps
        lost = (v + 2 * u * (a + v) + eta) / a
        rho = np.expm1(-np.log1p(-lost) / 2 + 3 * np.log1p(u))
        z = d / np.sqrt(a)
        error = (m + u * (d + m)) / np.sqrt(a) * (1 + rho) + z * rho
        cap = z + np.maximum(np.sqrt(n), (d + m) / np.sqrt(eps)) * (1 + gamma(n + 3, dtype))
        error = np.where(lost < 1, np.minimum(error, cap), cap)
        allowed = gain * (error + 2 * u * (z + error)) + u * np.abs(bias) + 2 * eta
        greatest = np.maximum(n * (squares + m * m), gain * (z + error) + np.abs(bias))
        safe = greatest * (1 + gamma(n + 3, dtype)) < form.largest
        safe = safe & ((lost < 1) | (eps >= form.normal))
    return np.where(safe, allowed, np.inf)
