"""The distribution that scores stand for, in float64."""

import numpy as np

from npgpt.arrays import Array, quiet


def relative_probabilities(scores: Array) -> Array:
    """`exp(zᵢ − max z)`, over the last axis: (..., vocab) -> (..., vocab), float64.

    The probability of each token over that of the likeliest one, so the largest is 1 exactly.
    Left undivided by the sum, equal tokens add up without rounding: seven of ten have 7 of 10.
    +inf entries share everything equally; a row that is all −inf gives zeros.

    >>> import numpy as np
    >>> relative_probabilities(np.array([0.0, np.log(2.0), -np.inf])).round(4)
    array([0.5, 1. , 0. ])
    """
    z = scores.astype(np.float64)
    top = z.max(axis=-1, keepdims=True)
    with quiet():
        below = np.exp(z - top)
    relative: Array = np.where(z == top, top > -np.inf, below)
    return relative
