"""The distribution that scores stand for, in float64."""

import numpy as np

from npgpt.arrays import Array, quiet


def gaps(scores: Array) -> Array:
    """`max z − zᵢ`, over the last axis: (..., vocab) -> (..., vocab), float64, at least 0.

    How much less likely than the likeliest token each is, in nats: `log p_max − log pᵢ`.
    0 for every entry equal to the largest, +inf among them; −inf entries give inf, also in a row
    that has no others.

    >>> import numpy as np
    >>> gaps(np.array([1.0, 3.0, -np.inf]))
    array([ 2.,  0., inf])
    """
    z = scores.astype(np.float64)
    top = z.max(axis=-1, keepdims=True)
    with quiet():
        below = top - z
    result: Array = np.where(z == top, np.where(top > -np.inf, 0.0, np.inf), below)
    return result


def relative_probabilities(scores: Array) -> Array:
    """`exp(zᵢ − max z)`, over the last axis: (..., vocab) -> (..., vocab), float64.

    The probability of each token over that of the likeliest one, so the largest is 1 exactly.
    Left undivided by the sum, equal tokens add up without rounding: seven of ten have 7 of 10.
    +inf entries share everything equally; a row that is all −inf gives zeros.

    >>> import numpy as np
    >>> relative_probabilities(np.array([0.0, np.log(2.0), -np.inf])).round(4)
    array([0.5, 1. , 0. ])
    """
    relative: Array = np.exp(-gaps(scores))
    return relative


def mean_gap(scores: Array) -> Array:
    """`Σᵢ pᵢ (max z − zᵢ)`, over the last axis: (..., vocab) -> (..., 1), float64.

    By it the entropy is `H = −log p_max + mean gap`, and a token's surprise less the entropy,
    `−log pᵢ − H`, is its gap less the mean one: no logarithm is left to round. A token of
    probability 0 adds 0; a row that is all −inf gives NaN.

    >>> import numpy as np
    >>> mean_gap(np.array([[0.0, 0.0], [0.0, -np.inf], [0.0, -np.log(3.0)]])).round(4)
    array([[0.    ],
           [0.    ],
           [0.2747]])
    """
    gap, weight = gaps(scores), relative_probabilities(scores)
    with quiet():
        mean: Array = weighted(weight, gap).sum(axis=-1, keepdims=True) / weight.sum(
            axis=-1, keepdims=True
        )
    return mean


def weighted(weight: Array, gap: Array) -> Array:
    """`w · gap`, and 0 where w is 0, however large the gap.

    >>> import numpy as np
    >>> weighted(np.array([0.5, 0.0]), np.array([2.0, np.inf]))
    array([1., 0.])
    """
    with quiet():
        return np.where(weight > 0, weight * gap, 0.0)
