"""Next-token predictions: the likeliest tokens, and their probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array
from npgpt._gpt import GPT
from npgpt.audit._frozen_norm import Float64
from npgpt.audit._token_text import label
from npgpt.errors import NonFiniteError, SettingError
from npgpt.ops._softmax import softmax

Ids = npt.NDArray[np.integer[Any]]
NO_TOKEN = -1  # where logits are NaN, no token is the likeliest
_AT_ONCE = 64  # positions whose logits are held in float64 at one time


def likeliest(
    logits: Array, k: int, *, probabilities: Float64 | None = None
) -> tuple[Ids, Float64]:
    """The k tokens of the largest logits, of equal ones the lower id, and their probabilities.

    logits (n, vocab) -> ids (n, k), probabilities (n, k) in float64; where a row's logits hold NaN,
    `NO_TOKEN` and NaN. probabilities: the logits' softmax, if it is at hand.

    >>> ids, shares = likeliest(np.log([[0.25, 0.5, 0.25]]), 2)
    >>> ids.tolist(), shares.round(4).tolist()
    ([[1, 0]], [[0.5, 0.25]])
    """
    ids = np.full((len(logits), k), NO_TOKEN)
    shares = np.full((len(logits), k), np.nan)
    for start in range(0, len(logits), _AT_ONCE):
        block = slice(start, start + _AT_ONCE)
        whole = (
            softmax(logits[block].astype(np.float64))
            if probabilities is None
            else probabilities[block]
        )
        for row, (logit, share) in enumerate(zip(logits[block], whole, strict=True), start):
            if not np.isnan(logit).any():
                ids[row] = _top(logit, k)
                shares[row] = share[ids[row]]
    return ids, shares


def likeliest_token(logits: Array) -> int:
    """The token of the largest logit, of equal ones the lowest id; NonFiniteError for NaN."""
    if np.isnan(logits).any():
        raise NonFiniteError("the logits are NaN, so no token is the likeliest; give --token")
    return int(np.argmax(logits))


def check_distinct(gpt: GPT, first: int | None, second: int | None) -> None:
    """Raise SettingError where a token is to be compared with itself."""
    if first is not None and first == second:
        raise SettingError(
            f"the token {label(gpt, first)} (id {first}) is set against itself; give --against "
            "another one"
        )


def _top(logits: Array, k: int) -> Ids:
    """`argsort(-logits)[:k]`, stable, without sorting them all."""
    least = np.partition(logits, len(logits) - k)[len(logits) - k]
    among = np.flatnonzero(logits >= least)
    order = np.argsort(-logits[among], kind="stable")[:k]
    return among[order]
