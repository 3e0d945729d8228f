"""Masks of tokens: what every processor that rules tokens out is made of."""

from collections.abc import Sequence

import numpy as np

from npgpt._arrays import Array, Mask, Tokens


def keep_only(scores: Array, keep: Mask) -> Array:
    """The scores where `keep`, −∞ elsewhere; both (rows, vocab), dtype kept.

    >>> import numpy as np
    >>> keep_only(np.array([[1.0, 2.0]]), np.array([[True, False]]))
    array([[  1., -inf]])
    """
    return np.where(keep, scores, scores.dtype.type(-np.inf))


def rule_out(scores: Array, rows: Sequence[int], tokens: Sequence[int]) -> Array:
    """The scores (rows, vocab), with −∞ for those tokens in those rows; dtype kept.

    >>> import numpy as np
    >>> rule_out(np.zeros((2, 2)), [1], [0])
    array([[  0.,   0.],
           [-inf,   0.]])
    """
    result = scores.copy()
    result[np.ix_(rows, tokens)] = -np.inf
    return result


def top_mask(scores: Array, count: int) -> Mask:
    """True for the `count` ≥ 1 largest scores, equals by id: (..., vocab) -> (..., vocab).

    >>> import numpy as np
    >>> top_mask(np.array([[1.0, 3.0, 1.0]]), 2)
    array([[ True,  True, False]])
    """
    count = min(count, scores.shape[-1])
    place = scores.shape[-1] - count
    last = np.partition(scores, place, axis=-1)[..., place, None]
    above, equal = scores > last, scores == last
    left = count - above.sum(axis=-1, keepdims=True)
    keep: Mask = above | (equal & (equal.cumsum(axis=-1) <= left))
    return keep


def unsorted(order: Tokens, stays: Mask) -> Mask:
    """`stays`, said of each row's tokens in `order`, put in order of id; all (rows, vocab).

    >>> import numpy as np
    >>> unsorted(np.array([[2, 0, 1]]), np.array([[True, False, False]]))
    array([[False, False,  True]])
    """
    keep = np.empty_like(stays)
    np.put_along_axis(keep, order, stays, axis=-1)
    return keep
