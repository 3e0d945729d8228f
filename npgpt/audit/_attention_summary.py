"""Attention patterns in numbers: entropy, attention to first and previous token, induction score.

Patterns are (batch, head, query, key), of rows without padding. With a cache the queries are the
last of the keys' positions.
"""

from __future__ import annotations

import numpy as np

from npgpt._arrays import Array, Tokens
from npgpt.audit._frozen_norm import Float64
from npgpt.errors import PromptError


def attention_entropy(pattern: Array) -> Float64:
    """`−Σ p log p` of each query, in nats: (batch, head, query). 0 is one key, log n is n evenly.

    >>> attention_entropy(np.array([[[[1.0, 0.0], [0.5, 0.5]]]])).round(4)
    array([[[-0.    ,  0.6931]]])
    """
    p = pattern.astype(np.float64)
    entropies: Float64 = -np.add.reduce(p * np.log(np.where(p > 0, p, 1)), axis=-1)
    return entropies


def attention_to_first(pattern: Array) -> Float64:
    """How much each query looks at the first token: (batch, head, query)."""
    return pattern[..., 0].astype(np.float64)


def attention_to_previous(pattern: Array) -> Float64:
    """How much each query looks at the token before its own: (batch, head, query).

    The first token has none before it and gets NaN.

    >>> attention_to_previous(np.array([[[[1.0, 0.0], [0.75, 0.25]]]]))
    array([[[ nan, 0.75]]])
    """
    query, key = pattern.shape[-2:]
    positions = np.arange(key - query, key)
    before = np.take_along_axis(
        pattern, np.maximum(positions - 1, 0).reshape(1, 1, query, 1), axis=-1
    )
    return np.where(positions > 0, before[..., 0].astype(np.float64), np.nan)


def induction_score(pattern: Array, tokens: Tokens) -> Float64:
    """How much a head looks at what followed its query's token earlier: (batch, head), 0 to 1.

    tokens (batch, key): those of all keys. A query whose token stood at j before looks, by
    `pattern`, at j + 1; this is summed over all such j with j + 1 before the query, and averaged
    over the queries that have one. A row whose tokens never recur so gives NaN.

    Source: Olsson et al. 2022, "In-context Learning and Induction Heads", prefix matching score.

    >>> induction_score(np.array([[np.eye(3, k=-1)]]), np.array([[7, 8, 7]]))
    array([[1.]])
    """
    tokens = np.asarray(tokens)
    batch, _, query, key = pattern.shape
    if tokens.shape != (batch, key):
        raise PromptError(
            f"tokens have shape {tokens.shape}; the pattern is of {batch} rows of {key} keys"
        )
    positions = np.arange(key - query, key)
    followed = np.zeros((batch, query, key), bool)  # where the key came after the query's token
    followed[..., 1:] = np.equal(tokens[:, positions, None], tokens[:, None, :-1])
    followed &= positions[:, None] > np.arange(key)
    has_one = np.asarray(followed.any(axis=-1))
    looked = np.where(followed[:, None], pattern.astype(np.float64), 0).sum(axis=-1)
    counted = np.where(has_one[:, None], looked, 0).sum(axis=-1)
    many = has_one.sum(axis=-1, keepdims=True)
    return np.where(many > 0, counted / np.maximum(many, 1), np.nan)
