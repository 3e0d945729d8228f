"""Bugs of perplexity: windows, targets, means.

Each stands in the place of a function of oracle.perplexity.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from oracle import model, perplexity
from oracle.mutants._mutant import Mutant, Severity
from oracle.ops._softmax import log_softmax
from oracle.perplexity import Window

# The functions as they are, since a mutant may need what it replaces.
_mean_surprise, _score, _windows = (
    perplexity.mean_surprise,
    perplexity.score,
    perplexity.windows,
)


def perplexity_bug(
    id: str,
    bug: str,
    source: str,
    *,
    effect: str = "",
    severity: Severity = "",
    **replaces: Callable[..., Any],
) -> Mutant:
    """One of this file; `replaces` by the names of oracle.perplexity."""
    full = {f"oracle.perplexity.{name}": value for name, value in replaces.items()}
    return Mutant(id, bug, source, "perplexity", full, effect=effect, severity=severity)


def _shifted(by: int) -> Callable[..., Tensor]:
    """A score of the tokens `by` places beyond those that are next."""

    def score(weights: Any, config: Any, row: Tensor, window: Window) -> Tensor:
        read = row[window.start : window.stop]
        with torch.no_grad():
            log_p = log_softmax(model.logits(weights, config, read[None])[0])
        places = torch.arange(window.start, window.stop) + 1 + by
        targets = row[places.clamp(max=len(row) - 1)]
        return log_p[torch.arange(len(read)), targets][-window.scored :]

    return score


def _padded(weights: Any, config: Any, row: Tensor, window: Window) -> Tensor:
    """A short window is filled up with id 0, which is read and scored too."""
    missing = {**model.DEFAULTS, **config}["n_positions"] - (window.stop - window.start)
    if not missing:
        return _score(weights, config, row, window)
    filled = torch.cat([row[: window.stop + 1], row.new_zeros(missing)])
    stop, scored = window.stop + missing, window.scored + missing
    return _score(weights, config, filled, Window(window.start, stop, scored))


def _one_padding(weights: Any, config: Any, row: Tensor, window: Window) -> Tensor:
    """The last window goes on to score one padding token."""
    full = window.stop - window.start == {**model.DEFAULTS, **config}["n_positions"]
    if full or window.stop < len(row) - 1:
        return _score(weights, config, row, window)
    longer = Window(window.start, window.stop + 1, window.scored + 1)
    return _score(weights, config, torch.cat([row, row.new_zeros(1)]), longer)


def _first_from_nothing(parts: Sequence[Tensor]) -> Tensor:
    """The first token counts as predicted with certainty."""
    count = sum(map(len, parts))
    return _mean_surprise(parts) * count / (count + 1)


def _first_twice(weights: Any, config: Any, row: Tensor, window: Window) -> Tensor:
    """The first token is predicted from itself."""
    log_p = _score(weights, config, row, window)
    if window.start:
        return log_p
    read = row[:1]
    with torch.no_grad():
        before = log_softmax(model.logits(weights, config, read[None])[0, 0])[row[0]]
    return torch.cat([before[None], log_p])


def _no_carry(length: int, n_positions: int, stride: int) -> list[Window]:
    """Each window scores only what it predicts within itself: its last token predicts nothing."""
    cut = []
    for window in _windows(length, n_positions, stride):
        inside = window.stop - window.start == n_positions
        stop = window.stop - 1 if inside and n_positions > 1 else window.stop
        cut.append(Window(window.start, stop, max(1, window.scored - (window.stop - stop))))
    return cut


def _target_inside(length: int, n_positions: int, stride: int) -> list[Window]:
    """A window holds what it scores, so one token less to predict it from."""
    reads = max(n_positions - 1, 1)
    return _windows(length, reads, min(stride, reads))


def _second_half(length: int, n_positions: int, stride: int) -> list[Window]:
    """Windows side by side, of each of which only the second half is scored."""
    side_by_side = _windows(length, n_positions, n_positions)
    return [replace(w, scored=(w.stop - w.start + 1) // 2) for w in side_by_side]


def _each_window_alone(parts: Sequence[Tensor]) -> Tensor:
    return -torch.stack([part.mean() for part in parts]).mean()


def _mean_of_perplexities(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([(-part.mean()).exp() for part in parts]).mean().log()


def _geometric(parts: Sequence[Tensor]) -> Tensor:
    """exp of each token's surprise first, and then the mean."""
    return (-torch.cat(list(parts))).exp().mean().log()


MUTANTS = (
    perplexity_bug(
        "perplexity-shift",
        "labels shifted by one too many",
        "huggingface/transformers#30975",
        effect="ten times too high",
        severity="probabilities",
        score=_shifted(1),
    ),
    perplexity_bug(
        "perplexity-no-shift",
        "each token is scored by its own logits, which have seen it",
        "huggingface/transformers#30975",
        effect="meaningless, 26 times off on one text",
        severity="probabilities",
        score=_shifted(-1),
    ),
    perplexity_bug(
        "perplexity-last-window",
        "the last, short window weighs as much as a full one",
        "huggingface/transformers#7938",
        effect="up to 30 % off, by how full the last window is",
        severity="probabilities",
        mean_surprise=_each_window_alone,
    ),
    perplexity_bug(
        "perplexity-mean-of-windows",
        "the mean of the windows' perplexities",
        "lisa-lab/pylearn2#1383",
        effect="58 % too high on one text",
        severity="probabilities",
        mean_surprise=_mean_of_perplexities,
    ),
    perplexity_bug(
        "perplexity-exp-first",
        "the mean of 1/p, not exp of the mean of −log p",
        "magenta/magenta#239",
        effect="too high by orders of magnitude",
        severity="probabilities",
        mean_surprise=_geometric,
    ),
    perplexity_bug(
        "perplexity-base-2",
        "exp of a mean in bits",
        "",
        effect="raised to the power of 1.44",
        severity="probabilities",
        mean_surprise=lambda parts: _mean_surprise(parts) / math.log(2),
    ),
    perplexity_bug(
        "perplexity-two-to-nats",
        "2 to the power of a mean in nats",
        "EleutherAI/lm-evaluation-harness@383605122",
        effect="raised to the power of 0.69",
        severity="probabilities",
        mean_surprise=lambda parts: _mean_surprise(parts) * math.log(2),
    ),
    perplexity_bug(
        "perplexity-square-root",
        "the root of the mean, not exp of it",
        "SocialComplexityLab/life2vec#8",
        effect="between 1 and 4, whatever the text",
        severity="probabilities",
        mean_surprise=lambda parts: _mean_surprise(parts).sqrt().log(),
    ),
    perplexity_bug(
        "perplexity-first-counted",
        "divided by all tokens, the first one too, which is not scored",
        "kimiyoung/transformer-xl#131",
        effect="2 % too low on 500 tokens, much on short texts",
        severity="probabilities",
        mean_surprise=_first_from_nothing,
    ),
    perplexity_bug(
        "perplexity-first-scored",
        "the first token is scored, from itself",
        "",
        effect="2 % off on 500 tokens, much on short texts",
        severity="probabilities",
        score=_first_twice,
    ),
    perplexity_bug(
        "perplexity-overlap-twice",
        "what windows share is scored by each of them",
        "",
        effect="some per cent too high, the more windows overlap",
        severity="long contexts",
        windows=lambda *sizes: [replace(w, scored=w.stop - w.start) for w in _windows(*sizes)],
    ),
    perplexity_bug(
        "perplexity-no-overlap",
        "windows side by side whatever the stride",
        "EleutherAI/lm-evaluation-harness#369",
        effect="some per cent too high on long texts",
        severity="long contexts",
        windows=lambda length, n_positions, stride: _windows(length, n_positions, n_positions),
    ),
    perplexity_bug(
        "perplexity-window-joints",
        "the token that a full window's last one predicts is not scored",
        "huggingface/transformers#30975",
        effect="below 1 % off, on texts longer than a window",
        severity="long contexts",
        windows=_no_carry,
    ),
    perplexity_bug(
        "perplexity-second-half",
        "only the second half of each window is scored",
        "ggml-org/llama.cpp#2714",
        effect="some per cent off: half of the text is not scored",
        severity="long contexts",
        windows=_second_half,
    ),
    perplexity_bug(
        "perplexity-target-inside",
        "a window holds what it scores: one token less to predict it from",
        "",
        effect="below 1 % too high, on texts longer than a window",
        severity="long contexts",
        windows=_target_inside,
    ),
    perplexity_bug(
        "perplexity-last-window-lost",
        "what does not fill a window is not scored",
        "huggingface/transformers:examples/pytorch/language-modeling/run_clm.py",
        effect="the end of the text is not scored: some per cent off",
        severity="long contexts",
        windows=lambda *sizes: _windows(*sizes)[:-1] or _windows(*sizes),
    ),
    perplexity_bug(
        "perplexity-truncated",
        "only what fits the context is scored",
        "huggingface/evaluate:metrics/perplexity/perplexity.py",
        effect="a long text's perplexity is that of its beginning",
        severity="long contexts",
        windows=lambda *sizes: _windows(*sizes)[:1],
    ),
    perplexity_bug(
        "perplexity-padding-read",
        "a short window is padded, and the padding scored",
        "neulab/xnmt#229",
        effect="1 % off on one text, more on short ones",
        severity="probabilities",
        score=_padded,
    ),
    perplexity_bug(
        "perplexity-one-padding",
        "the first padding token after a short text is scored",
        "ml-explore/mlx-lm#1855",
        effect="2 % off on one text, more on short ones",
        severity="probabilities",
        score=_one_padding,
    ),
)
