"""Sequence bias, logit bias and bad words: biases on phrases and tokens."""

import math
from collections.abc import Sequence

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt.decoding._scoring import Row
from npgpt.decoding._settings import Phrase


def sequence_bias(
    rows: Sequence[Row], scores: Array, *, biases: Sequence[tuple[Phrase, float]]
) -> Array:
    """Each bias added to the last token of its phrase, in rows that end with the rest of it.

    scores (rows, vocab) -> (rows, vocab), dtype kept. Prompts count; a phrase of one token is
    always due; several biases add up, in float64. A bias of −∞ rules the token out, and no other
    brings it back.

    Source: Hugging Face transformers, SequenceBiasLogitsProcessor.

    >>> import numpy as np
    >>> biases = [((7, 1), 2.0), ((1,), 0.5), ((8, 0), 9.0)]
    >>> sequence_bias([Row([5, 7], 2)], np.zeros((1, 3)), biases=biases)
    array([[0. , 2.5, 0. ]])
    """
    result = scores.copy()
    for index, row in enumerate(rows):
        biased: dict[int, float] = {}
        for phrase, bias in biases:
            if _ends_with(row.tokens, phrase[:-1]):
                token = phrase[-1]
                s = biased.get(token, float(scores[index, token]))
                biased[token] = s + bias if bias > -math.inf else bias
        with quiet():
            result[index, list(biased)] = np.array(list(biased.values())).astype(scores.dtype)
    return result


def logit_bias(scores: Array, *, biases: Sequence[tuple[int, float]]) -> Array:
    """Each bias added to its token, in every row: (rows, vocab) -> (rows, vocab), dtype kept.

    Tokens are distinct. A bias of −∞ rules the token out.

    Source: OpenAI, API reference, logit_bias.

    >>> import numpy as np
    >>> logit_bias(np.zeros((1, 3)), biases=[(1, 0.5), (2, -np.inf)])
    array([[ 0. ,  0.5, -inf]])
    """
    tokens = [token for token, _ in biases]
    added = np.array([bias for _, bias in biases], dtype=np.float64)
    result = scores.copy()
    with quiet():
        biased = scores[:, tokens].astype(np.float64) + added
        result[:, tokens] = np.where(added > -np.inf, biased, added)
    return result


def bad_words(rows: Sequence[Row], scores: Array, *, phrases: Sequence[Phrase]) -> Array:
    """−∞ for the last token of each phrase, in rows that end with the rest of it.

    scores (rows, vocab) -> (rows, vocab), dtype kept. Prompts count; a phrase of one token is
    ruled out everywhere, an eos too.

    Source: Hugging Face transformers, NoBadWordsLogitsProcessor.

    >>> import numpy as np
    >>> bad_words([Row([5, 7], 2), Row([5], 1)], np.zeros((2, 3)), phrases=[(7, 1), (2,)])
    array([[  0., -inf, -inf],
           [  0.,   0., -inf]])
    """
    return sequence_bias(rows, scores, biases=[(phrase, -math.inf) for phrase in phrases])


def _ends_with(tokens: Sequence[int], ids: Phrase) -> bool:
    # Of fewer tokens than ids, whatever is sliced is too short to be equal.
    return tuple(tokens[len(tokens) - len(ids) :]) == ids
