"""Processors that rule tokens out, whatever the row."""

import numpy as np

from npgpt.arrays import Array


def real_vocabulary(scores: Array, *, size: int) -> Array:
    """−∞ for ids from `size` on: columns that pad a model's vocabulary stand for no token.

    scores (rows, vocab) -> (rows, vocab), dtype kept.

    >>> import numpy as np
    >>> real_vocabulary(np.zeros((1, 3)), size=2)
    array([[  0.,   0., -inf]])
    """
    result = scores.copy()
    result[:, size:] = -np.inf
    return result
