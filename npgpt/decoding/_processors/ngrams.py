"""N-gram blocking: no n-gram twice."""

from collections.abc import Sequence

import numpy as np

from npgpt._arrays import Array
from npgpt.decoding._scoring import Row


def no_repeat_ngram(rows: Sequence[Row], scores: Array, *, size: int) -> Array:
    """−∞ for each token that would complete an n-gram already in the row, prompt included.

    scores (rows, vocab) -> (rows, vocab), dtype kept; n = size. A row that ends in x₁ … xₙ₋₁
    must not go on with what followed an earlier x₁ … xₙ₋₁; n = 1 rules out every token seen.

    Source: Paulus et al. 2017, "A Deep Reinforced Model for Abstractive Summarization", section
    2.5.

    >>> import numpy as np
    >>> no_repeat_ngram([Row([0, 1, 2, 0, 1], 1)], np.zeros((1, 4)), size=3)
    array([[  0.,   0., -inf,   0.]])
    """
    result = scores.copy()
    for index, row in enumerate(rows):
        if len(row.tokens) >= size:
            ngrams = np.lib.stride_tricks.sliding_window_view(np.asarray(row.tokens), size)
            ending = row.tokens[len(row.tokens) - size + 1 :]
            again = (ngrams[:, :-1] == ending).all(axis=-1)
            result[index, ngrams[again, -1]] = -np.inf
    return result
