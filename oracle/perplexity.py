"""Perplexity of a text longer than the context, read in windows.

A window reads at most n_positions tokens and predicts the token after each of them. The first
starts at the first token, each other `stride` later, and the last is the first that reaches the
last token but one. Every token but the first is scored once: by the first window that predicts it,
given all that this window holds before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from oracle import model
from oracle.ops._softmax import log_softmax

__all__ = ["Window", "log_probabilities", "perplexity", "windows"]


@dataclass(frozen=True)
class Window:
    """It reads tokens[start:stop]; its last `scored` predictions count."""

    start: int
    stop: int
    scored: int


def perplexity(
    weights: model.Weights, config: model.Config, tokens: Sequence[int] | Any, stride: int
) -> float:
    """exp of the mean of −log p over all scored tokens; infinite where that overflows.

    tokens: ids (length,), two at least; stride: 1 to n_positions. Raises ValueError for others.

    >>> tiny = {"vocab_size": 3, "n_positions": 2, "n_embd": 2, "n_layer": 0, "n_head": 1}
    >>> weights = {name: torch.zeros(shape) for name, shape in model.shapes(tiny).items()}
    >>> round(perplexity(weights, tiny, [0, 1, 2, 0], 1), 6)
    3.0
    """
    parts = log_probabilities_by_window(weights, config, tokens, stride)
    return float(mean_surprise(parts).exp())


def log_probabilities(
    weights: model.Weights, config: model.Config, tokens: Sequence[int] | Any, stride: int
) -> Tensor:
    """log p of each token but the first, given what its window holds before it: (length − 1,)."""
    return torch.cat(log_probabilities_by_window(weights, config, tokens, stride))


def log_probabilities_by_window(
    weights: model.Weights, config: model.Config, tokens: Sequence[int] | Any, stride: int
) -> list[Tensor]:
    """The same, window by window."""
    row = torch.as_tensor(tokens, device=weights["wte.weight"].device).long()
    limit = {**model.DEFAULTS, **config}["n_positions"]
    return [score(weights, config, row, window) for window in windows(len(row), limit, stride)]


def windows(length: int, n_positions: int, stride: int) -> list[Window]:
    """The windows over a text of `length` tokens.

    >>> [(w.start, w.stop, w.scored) for w in windows(9, 4, 3)]
    [(0, 4, 4), (3, 7, 3), (6, 8, 1)]
    """
    if length < 2:
        raise ValueError(f"{length} tokens; a perplexity needs two at least")
    if not 1 <= stride <= n_positions:
        raise ValueError(f"stride is {stride}; expected 1 to n_positions = {n_positions}")
    found, done, start = [], 0, 0
    while done < length - 1:
        stop = min(start + n_positions, length - 1)
        found.append(Window(start, stop, stop - done))
        done, start = stop, start + stride
    return found


def score(weights: model.Weights, config: model.Config, row: Tensor, window: Window) -> Tensor:
    """log p of the tokens that one window scores: (scored,)."""
    read = row[window.start : window.stop]
    with torch.no_grad():
        found = log_softmax(model.logits(weights, config, read[None])[0])
    targets = row[window.start + 1 : window.stop + 1]
    return found[torch.arange(len(read)), targets][-window.scored :]


def mean_surprise(parts: Sequence[Tensor]) -> Tensor:
    """The mean of −log p over all scored tokens, each counted once: the logarithm of perplexity."""
    return -torch.cat(list(parts)).mean()
