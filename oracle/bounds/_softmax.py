"""Bounds for softmax and its logarithm.

Both compute z = (x − max x) / T, at most 0, then exp z. The exp turns an absolute error Δ of z
into the relative error e^Δ − 1, and z's error is relative to what was subtracted or divided: so
the bound grows with how far a logit lies below the largest, and, where T is not 1, with the size
of the logits.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oracle.bounds._rounding import Array, format_of, gamma


def softmax(logits: Array, *, temperature: float = 1.0, dtype: npt.DTypeLike) -> Array:
    """Largest |computed − exact| of softmax over the last axis, for finite or −inf logits.

    z is off by u |z| at T = 1, from the subtraction alone. Else by γ_3 (|x| + |max x|) / T: T and
    a quotient rounded and a subtraction, in either order, or γ_3 |z| where x / T would overflow.
    What follows is `mass_error`. A T that is no normal number of the dtype may be taken for 0 or
    infinity, whichever is near, and the bound then allows that limit too.

    logits (..., n) -> (..., n), float64.

    >>> softmax(np.array([0.0, 0.0]), dtype="float16").round(4)
    array([0.0049, 0.0049])
    """
    z, error = _shifted(logits, temperature, dtype)
    limit = _limit(z, temperature, dtype)
    return mass_error(z, error, dtype) + np.abs(_mass(z) - _mass(limit))


def log_softmax(logits: Array, *, temperature: float = 1.0, dtype: npt.DTypeLike) -> Array:
    """Largest |computed − exact| of log_softmax over the last axis, computed as z − log Σ exp z.

    z's error and the limits as in `softmax`; the sum's relative error, which the logarithm makes
    absolute; one log, relative to its result; one subtraction. `x − (max x + log Σ)` rounds at the
    size of x, and is not granted. No promise (infinity) where x − max x or z overflows.

    logits (..., n) -> (..., n), float64.

    >>> log_softmax(np.array([0.0, 0.0]), dtype="float16").round(4)
    array([0.0075, 0.0075])
    """
    form = format_of(dtype)
    z, error = _shifted(logits, temperature, dtype)
    parts = _sum(z, error, dtype)
    with np.errstate(all="ignore"):
        log_total = np.log(parts.total)
        relative = parts.total_error / parts.least_total
        exact = z - log_total
        allowed = error + relative + form.library * (log_total + relative)
        allowed = allowed + form.unit * (np.abs(exact) + allowed) + form.subnormal
        limit = _limit(z, temperature, dtype)
        allowed = allowed + np.abs(exact - (limit - np.log(np.exp(limit).sum(-1, keepdims=True))))
    largest = np.abs(z) * max(temperature, 1) * (1 + gamma(3, dtype))
    # Where no mass is possible, the answer is −inf whatever rounds.
    allowed = np.where(np.isneginf(logits), 0, allowed)
    return np.where((largest >= form.largest) & ~np.isneginf(logits), np.inf, allowed)


def mass_error(z: Array, error: Array, dtype: npt.DTypeLike) -> Array:
    """Largest |computed − exact| of exp(z) / Σ exp(z), where z ≤ 0 is itself off by `error`.

    Each exp is off by (e^error − 1) and its library error, relative; their sum by that and by
    γ_{n-1} for n − 1 additions; the quotient rounds once (twice, with a reciprocal). Results of
    exp below the smallest normal number may be flushed. A share of the mass is never off by more
    than 1, and the share of a −inf not at all.
    """
    form = format_of(dtype)
    parts = _sum(z, error, dtype)
    with np.errstate(all="ignore"):
        share = _mass(z)
        off = parts.term_error + share * parts.total_error
        off += 2 * form.unit * (parts.terms + parts.term_error)
        off = np.minimum(off / parts.least_total, 1 + 4 * form.unit)
    # With nothing allowed in the row, least_total is 0 and off NaN: the answer is exactly 0.
    return np.where(np.isneginf(z) | np.isnan(off), 0, off + (z.shape[-1] + 2) * form.normal)


class _Parts(NamedTuple):
    terms: Array
    term_error: Array
    total: Array
    total_error: Array
    least_total: Array


def _sum(z: Array, error: Array, dtype: npt.DTypeLike) -> _Parts:
    """exp z and its sum, each with its error, and the least that the sum can come out as."""
    form, n = format_of(dtype), z.shape[-1]
    with np.errstate(all="ignore"):
        terms = np.exp(z)
        # e^z (e^Δ − 1): in this form small Δ keep their digits, in the other large ones do not
        # become 0 times infinity.
        grown = np.where(error < 1, terms * np.expm1(error), np.exp(z + error))
        term_error = np.where(np.isneginf(z), 0, grown + form.library * (terms + grown))
        total = terms.sum(-1, keepdims=True)
        total_error = term_error.sum(-1, keepdims=True)
        total_error += gamma(max(n - 1, 0), dtype) * (total + total_error)
        # The largest computed z is 0 and its exp 1, to within the library error.
        least = np.where(total > 0, np.maximum(total - total_error, 1 - form.library), 0)
    return _Parts(terms, term_error, total, total_error, least)


def _mass(z: Array) -> Array:
    with np.errstate(all="ignore"):
        terms = np.exp(z)
        return terms / np.maximum(terms.sum(-1, keepdims=True), np.finfo(np.float64).tiny)


def _shifted(logits: Array, temperature: float, dtype: npt.DTypeLike) -> tuple[Array, Array]:
    """Exact z = (x − max x) / T (its limit where T = 0), and the largest error of a computed z."""
    wide = logits.astype(np.float64)
    top = wide.max(-1, keepdims=True, initial=-np.inf)
    with np.errstate(all="ignore"):
        z = np.where(wide == top, 0, (wide - top) / temperature)
        z = np.where(np.isneginf(wide), -np.inf, z)
        if temperature == 1:
            error = gamma(1, dtype) * np.abs(z)
        else:
            quotients = (np.abs(wide) + np.abs(top)) / temperature
            quotients = np.where(np.isneginf(wide) | (wide == top), 0, quotients)
            overflow = quotients.max(-1, keepdims=True, initial=0) >= format_of(dtype).largest
            error = gamma(3, dtype) * np.where(overflow, np.abs(z), quotients)
    return z, np.where(np.isneginf(z), 0, error)


def _limit(z: Array, temperature: float, dtype: npt.DTypeLike) -> Array:
    """z, or what it becomes where a temperature out of the dtype's range is taken for 0 or ∞."""
    form = format_of(dtype)
    if temperature < form.normal:
        return np.where(z == 0, 0, -np.inf)
    return np.where(np.isneginf(z), -np.inf, 0) if temperature > form.largest else z
