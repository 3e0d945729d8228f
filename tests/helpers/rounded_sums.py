"""Honest implementations of sums and products in which every step is rounded to the dtype."""

import numpy as np

ORDERS = ("forwards", "backwards", "pairwise")


def total(terms, order):
    """Sum over the last axis, kept, in the dtype of `terms` and in the given order."""
    if order == "pairwise":
        while terms.shape[-1] > 1:
            odd = terms[..., 2 * (terms.shape[-1] // 2) :]
            terms = np.concatenate([terms[..., :-1:2] + terms[..., 1::2], odd], axis=-1)
        return terms
    turned = terms[..., ::-1] if order == "backwards" else terms
    return np.cumsum(turned, axis=-1, dtype=terms.dtype)[..., -1:]


def product(x, weight, order):
    """x (..., in) @ weight (..., in, out) -> (..., out)."""
    terms = x[..., None, :] * weight.swapaxes(-1, -2)  # ..., out, in
    return total(terms, order)[..., 0]
