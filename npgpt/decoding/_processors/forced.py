"""Forced first and last tokens: processors that leave one choice."""

from collections.abc import Sequence

import numpy as np

from npgpt._arrays import Array
from npgpt.decoding._scoring import Row


def forced_bos(rows: Sequence[Row], scores: Array, *, token: int) -> Array:
    """At the first generated token: 0 for `token`, whatever its score, and −∞ for every other.

    scores (rows, vocab) -> (rows, vocab), dtype kept.

    Source: Hugging Face transformers, ForcedBOSTokenLogitsProcessor.

    >>> import numpy as np
    >>> forced_bos([Row([5], 1), Row([5, 6], 1)], np.ones((2, 2)), token=1)
    array([[-inf,   0.],
           [  1.,   1.]])
    """
    first = [index for index, row in enumerate(rows) if len(row.tokens) == row.prompt_length]
    return _forced(scores, first, [token])


def forced_eos(rows: Sequence[Row], scores: Array, *, tokens: Sequence[int]) -> Array:
    """At the last place that a row's limit leaves: 0 for each of `tokens`, −∞ for every other.

    scores (rows, vocab) -> (rows, vocab), dtype kept.

    Source: Hugging Face transformers, ForcedEOSTokenLogitsProcessor.

    >>> import numpy as np
    >>> forced_eos([Row([5], 1, limit=2), Row([5], 1, limit=3)], np.ones((2, 2)), tokens=[0])
    array([[  0., -inf],
           [  1.,   1.]])
    """
    last = [index for index, row in enumerate(rows) if len(row.tokens) == row.limit - 1]
    return _forced(scores, last, tokens)


def _forced(scores: Array, rows: Sequence[int], tokens: Sequence[int]) -> Array:
    result = scores.copy()
    result[rows] = -np.inf
    result[np.ix_(rows, tokens)] = 0
    return result
