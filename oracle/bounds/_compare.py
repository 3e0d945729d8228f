"""Comparing an array with a reference, under a bound on their difference."""

import numpy as np

from oracle.bounds._rounding import Array


def excess(actual: Array, reference: Array, allowed: Array | float) -> float:
    """The largest of `shares`: at most 1 where the bound holds everywhere; 0 of no numbers at all.

    >>> excess(np.array([1.0, 2.0]), np.array([1.0, 2.5]), 0.25)
    2.0
    """
    return float(shares(actual, reference, allowed).max(initial=0))


def shares(actual: Array, reference: Array, allowed: Array | float) -> Array:
    """|actual − reference| / allowed of each number, as float64.

    Equal numbers, infinities included, and NaN for NaN, count 0 whatever is allowed; so does
    anything where infinitely much is allowed. NaN for a number, a number for NaN, and any
    difference where none is allowed count infinity. Raises ValueError where the shapes differ:
    broadcasting would hide that an answer is missing.

    >>> shares(np.array([1.0, 2.0, np.nan]), np.array([1.0, 2.5, 0.0]), np.array([0.0, 0.25, 9.0]))
    array([ 0.,  2., inf])
    """
    if actual.shape != reference.shape:
        raise ValueError(f"shape {actual.shape} was computed, the reference has {reference.shape}")
    a, b = actual.astype(np.float64), reference.astype(np.float64)
    allowed = np.broadcast_to(allowed, a.shape)
    same = (a == b) | (np.isnan(a) & np.isnan(b)) | np.isposinf(allowed)
    with np.errstate(all="ignore"):
        ratio = np.abs(a - b) / allowed
    ratio = np.where(same, 0, ratio)
    return np.where(np.isnan(ratio), np.inf, ratio)
