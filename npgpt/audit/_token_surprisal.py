"""Surprisal, in nats, and rank of each token of a text, given the tokens before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, Tokens
from npgpt.audit._frozen_norm import Float64
from npgpt.errors import PromptError
from npgpt.ops._softmax import log_softmax


def surprisal(logits: Array, tokens: Tokens) -> Float64:
    """`−log p(tokenᵢ | the tokens before it)` in nats, for i = 1 .. n − 1.

    logits (batch, n, vocab), tokens (batch, n) -> (batch, n − 1): the first token is not predicted.

    Raises PromptError where tokens are not those of the logits, or an id is unknown.

    >>> surprisal(np.log([[[1.0, 3.0], [1.0, 1.0]]]), np.array([[0, 0]])).round(4)
    array([[1.3863]])
    """
    ids = _targets(logits, tokens)
    log_probabilities = log_softmax(logits[:, :-1].astype(np.float64))
    surprisals = -np.take_along_axis(log_probabilities, ids, axis=-1)[..., 0]
    return surprisals.astype(np.float64, copy=False)


def rank(logits: Array, tokens: Tokens) -> npt.NDArray[np.intp]:
    """How many tokens were likelier than the one that came, for i = 1 .. n − 1: 0 is the likeliest.

    Shapes and errors are those of `surprisal`. Equal logits count as no likelier.

    >>> rank(np.array([[[0.0, 2.0, 1.0], [0.0, 0.0, 0.0]]]), np.array([[0, 2]]))
    array([[1]])
    """
    own = np.take_along_axis(logits[:, :-1], _targets(logits, tokens), axis=-1)
    likelier: npt.NDArray[np.intp] = np.count_nonzero(logits[:, :-1] > own, axis=-1)
    return likelier


def _targets(logits: Array, tokens: Tokens) -> npt.NDArray[np.integer[Any]]:
    ids = np.asarray(tokens)
    if ids.shape != logits.shape[:2] or ids.dtype.kind not in "iu":
        raise PromptError(
            f"tokens have shape {ids.shape} and dtype {ids.dtype}; the logits are of ids of shape "
            f"{logits.shape[:2]}"
        )
    wrong = ids[(ids < 0) | (ids >= logits.shape[-1])]
    if wrong.size:
        raise PromptError(f"id {wrong[0]} is not one of the {logits.shape[-1]} known ids")
    return ids[:, 1:, None]
