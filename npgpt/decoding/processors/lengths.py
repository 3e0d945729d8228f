"""Processors that hold the end of text back until a row is long enough."""

from collections.abc import Sequence

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.row import Row


def min_length(
    rows: Sequence[Row], scores: Array, *, length: int, eos_token_ids: Sequence[int]
) -> Array:
    """Every eos at −∞ in rows of fewer than `length` tokens, prompt included.

    scores (rows, vocab) -> (rows, vocab), dtype kept.

    >>> import numpy as np
    >>> min_length([Row([5], 1), Row([5, 6], 1)], np.zeros((2, 2)), length=2, eos_token_ids=[0])
    array([[-inf,   0.],
           [  0.,   0.]])
    """
    short = [index for index, row in enumerate(rows) if len(row.tokens) < length]
    return _without(scores, short, eos_token_ids)


def min_new_tokens(
    rows: Sequence[Row], scores: Array, *, count: int, eos_token_ids: Sequence[int]
) -> Array:
    """Every eos at −∞ in rows of fewer than `count` generated tokens, the prompt not counted.

    scores (rows, vocab) -> (rows, vocab), dtype kept.

    >>> import numpy as np
    >>> min_new_tokens([Row([5, 6], 2)], np.zeros((1, 2)), count=1, eos_token_ids=[0])
    array([[-inf,   0.]])
    """
    short = [index for index, row in enumerate(rows) if len(row.new) < count]
    return _without(scores, short, eos_token_ids)


def _without(scores: Array, rows: Sequence[int], tokens: Sequence[int]) -> Array:
    result = scores.copy()
    result[np.ix_(rows, tokens)] = -np.inf
    return result
