"""Suppressed tokens, and columns that pad the vocabulary: ruled out whatever the row holds."""

from collections.abc import Sequence

import numpy as np

from npgpt._arrays import Array
from npgpt.decoding._processors.masks import rule_out
from npgpt.decoding._scoring import Row


def real_vocabulary(scores: Array, *, size: int) -> Array:
    """−∞ for ids from `size` on: columns that pad a model's vocabulary stand for no token.

    scores (rows, vocab) -> (rows, vocab), dtype kept; the very scores where there are none.

    >>> import numpy as np
    >>> real_vocabulary(np.zeros((1, 3)), size=2)
    array([[  0.,   0., -inf]])
    """
    if scores.shape[-1] <= size:
        return scores
    result = scores.copy()
    result[:, size:] = -np.inf
    return result


def suppress(scores: Array, *, tokens: Sequence[int]) -> Array:
    """−∞ for each of `tokens`: scores (rows, vocab) -> (rows, vocab), dtype kept.

    >>> import numpy as np
    >>> suppress(np.zeros((1, 3)), tokens=[0, 2])
    array([[-inf,   0., -inf]])
    """
    return rule_out(scores, range(len(scores)), tokens)


def begin_suppress(rows: Sequence[Row], scores: Array, *, tokens: Sequence[int]) -> Array:
    """−∞ for each of `tokens` at the first generated token, and at no later one.

    scores (rows, vocab) -> (rows, vocab), dtype kept.

    >>> import numpy as np
    >>> begin_suppress([Row([5], 1), Row([5, 6], 1)], np.zeros((2, 2)), tokens=[0])
    array([[-inf,   0.],
           [  0.,   0.]])
    """
    first = [index for index, row in enumerate(rows) if len(row.tokens) == row.prompt_length]
    return rule_out(scores, first, tokens)
