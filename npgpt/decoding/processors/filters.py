"""Processors of sampling, which reshape the distribution and know nothing of the row."""

import numpy as np

from npgpt.arrays import Array, Mask, quiet
from npgpt.decoding.probabilities import relative_probabilities


def temperature(scores: Array, *, value: float) -> Array:
    """`zᵢ / T`: (rows, vocab) -> (rows, vocab), dtype kept; T > 0.

    A row whose largest score would leave the dtype's range is first lowered by that score, which
    leaves the distribution as it is: however small T is, the likeliest tokens stay finite.

    >>> import numpy as np
    >>> temperature(np.array([[1.0, 3.0]]), value=0.5)
    array([[2., 6.]])
    """
    z = scores.astype(np.float64)
    top = z.max(axis=-1, keepdims=True)
    with quiet():
        overflows = np.isfinite(top) & ~np.isfinite((top / value).astype(scores.dtype))
        scaled: Array = (np.where(overflows, z - top, z) / value).astype(scores.dtype)
    return scaled


def top_k(scores: Array, *, k: int) -> Array:
    """−∞ for each score below the k-th largest of its row; ties with that one stay.

    (rows, vocab) -> (rows, vocab), dtype kept. A k past the vocabulary keeps everything.

    Source: Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.

    >>> import numpy as np
    >>> top_k(np.array([[3.0, 1.0, 2.0, 2.0]]), k=2)
    array([[  3., -inf,   2.,   2.]])
    """
    place = max(scores.shape[-1] - k, 0)
    kth = np.partition(scores, place, axis=-1)[..., place, None]
    return _only(scores, scores >= kth)


def top_p(scores: Array, *, p: float) -> Array:
    """−∞ outside the smallest set of likeliest tokens whose probabilities sum to p or more.

    (rows, vocab) -> (rows, vocab), dtype kept; 0 < p ≤ 1. Sorted by score, equals by id, a token
    stays if those before it sum to less than p: the one that reaches p is the last to stay. Sums
    are taken in float64.

    Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.

    >>> import numpy as np
    >>> top_p(np.log([[0.25, 0.5, 0.25]]), p=0.75).round(4)
    array([[-1.3863, -0.6931,    -inf]])
    """
    if p == 1:
        return scores
    order = np.argsort(-scores, axis=-1, kind="stable")
    likely = np.take_along_axis(relative_probabilities(scores), order, axis=-1)
    reached = np.cumsum(likely, axis=-1)
    stays = np.ones(scores.shape, dtype=bool)
    with quiet():
        # Divided, not compared with p · total: so seven of ten equal tokens reach 0.7 exactly.
        stays[:, 1:] = reached[:, :-1] / reached[:, -1:] < p
    keep = np.empty_like(stays)
    np.put_along_axis(keep, order, stays, axis=-1)
    return _only(scores, keep)


def _only(scores: Array, keep: Mask) -> Array:
    return np.where(keep, scores, scores.dtype.type(-np.inf))
