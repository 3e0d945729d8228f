"""Repetition, frequency and presence penalties: tokens already in the row are less likely."""

from collections.abc import Sequence

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt.decoding._scoring import Row


def repetition_penalty(rows: Sequence[Row], scores: Array, *, penalty: float) -> Array:
    """`s < 0 → s · θ, else s / θ`, once for each distinct token of the row, prompt included.

    scores (rows, vocab) -> (rows, vocab), dtype kept. θ > 1 makes those tokens less likely,
    whatever the sign of their score; θ < 1 more likely.

    Source: Keskar et al. 2019, "CTRL", section 4.1; the case s < 0 is Hugging Face's.

    >>> import numpy as np
    >>> repetition_penalty([Row([0, 1, 1], 2)], np.array([[3.0, -3.0, 3.0]]), penalty=1.5)
    array([[ 2. , -4.5,  3. ]])
    """
    result = scores.copy()
    for index, row in enumerate(rows):
        seen = sorted(set(row.tokens))
        # In float64, where θ is not rounded: a tiny θ must not become 0 in float32.
        s = scores[index, seen].astype(np.float64)
        with quiet():
            result[index, seen] = np.where(s < 0, s * penalty, s / penalty)
    return result


def frequency_penalty(rows: Sequence[Row], scores: Array, *, penalty: float) -> Array:
    """`s − α · c`, where c is how often the token was generated, the prompt not counted.

    scores (rows, vocab) -> (rows, vocab), dtype kept; infinite scores stay.

    Source: OpenAI, API guide, "Frequency and presence penalties".

    >>> import numpy as np
    >>> frequency_penalty([Row([0, 1, 1, 2], 1)], np.zeros((1, 4)), penalty=0.5)
    array([[ 0. , -1. , -0.5,  0. ]])
    """
    return _lowered(rows, scores, per_count=penalty, once=0.0)


def presence_penalty(rows: Sequence[Row], scores: Array, *, penalty: float) -> Array:
    """`s − β` for each token that was generated, the prompt not counted.

    scores (rows, vocab) -> (rows, vocab), dtype kept.

    Source: OpenAI, API guide, "Frequency and presence penalties".

    >>> import numpy as np
    >>> presence_penalty([Row([0, 1, 1, 2], 1)], np.zeros((1, 4)), penalty=0.5)
    array([[ 0. , -0.5, -0.5,  0. ]])
    """
    return _lowered(rows, scores, per_count=0.0, once=penalty)


def _lowered(rows: Sequence[Row], scores: Array, *, per_count: float, once: float) -> Array:
    result = scores.copy()
    for index, row in enumerate(rows):
        seen, counts = np.unique(np.asarray(row.new, dtype=np.int64), return_counts=True)
        s = scores[index, seen].astype(np.float64)
        with quiet():
            # An overflown penalty would make NaN of a score that is infinite the other way.
            result[index, seen] = np.where(np.isinf(s), s, s - (per_count * counts + once))
    return result
