"""Multinomial sampling by inverse CDF, from a uniform that the caller gives."""

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.probabilities import relative_probabilities


def draw(scores: Array, uniform: float) -> int:
    """The token whose share of [0, 1) holds `uniform`: `min{i : p₀ + … + pᵢ > u}`.

    scores (vocab,), of which at least one is above −inf, stand for `p = softmax(scores)`. Shares
    lie in order of token id and are summed in float64, so the same uniform gives the same token
    everywhere. A token of probability 0 has no share and is never drawn.

    Source: Devroye 1986, "Non-Uniform Random Variate Generation", III.2.

    >>> import numpy as np
    >>> scores = np.log(np.array([0.5, 0.25, 0.25]))
    >>> [draw(scores, u) for u in (0.0, 0.49, 0.6, 0.9)]
    [0, 0, 1, 2]
    """
    cumulative = np.cumsum(relative_probabilities(scores))
    # The last share ends at 1 exactly, above every uniform.
    return int(np.searchsorted(cumulative / cumulative[-1], uniform, side="right"))
