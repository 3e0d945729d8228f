"""Minimum lengths and the exponential length penalty: when the end of text may come."""

import math
from collections.abc import Sequence

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt.decoding._processors.masks import rule_out
from npgpt.decoding._scoring import Row


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
    return rule_out(scores, short, eos_token_ids)


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
    return rule_out(scores, short, eos_token_ids)


def exponential_decay(
    rows: Sequence[Row], scores: Array, *, start: int, factor: float, eos_token_ids: Sequence[int]
) -> Array:
    """Every eos at `s + |s| · (factor^(k − start) − 1)` in rows of k > start generated tokens.

    scores (rows, vocab) -> (rows, vocab), dtype kept. A factor above 1 makes the end likelier with
    each token, whatever the sign of its score; below 1, less likely. Infinite scores and 0 stay.

    Source: Hugging Face transformers, ExponentialDecayLengthPenalty.

    >>> import numpy as np
    >>> s = np.array([[-4.0, 4.0]])
    >>> exponential_decay([Row([5, 6, 7], 1)], s, start=1, factor=1.5, eos_token_ids=[0])
    array([[-2.,  4.]])
    """
    result = scores.copy()
    ends = list(eos_token_ids)
    for index, row in enumerate(rows):
        late = len(row.new) - start
        if late > 0:
            s = scores[index, ends].astype(np.float64)
            with quiet():
                changed = s + np.abs(s) * (_power(factor, late) - 1)
                result[index, ends] = np.where(np.isinf(s) | (s == 0), s, changed)
    return result


def _power(factor: float, exponent: int) -> float:
    try:
        return float(factor**exponent)
    except OverflowError:
        return math.inf
