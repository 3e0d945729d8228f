"""Bugs of perplexity in evaluation scripts: how windows are weighed, and what stands in front."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from oracle import model, perplexity
from oracle.mutants._mutant import Mutant
from oracle.mutants._perplexity import perplexity_bug

_by_window = perplexity.log_probabilities_by_window


def _one_too_many(parts: Sequence[Tensor]) -> Tensor:
    """Each window's mean counts once for each token that it holds, not for each that it scores."""
    weights = torch.tensor([len(part) + 1 for part in parts], dtype=torch.float64)
    means = torch.stack([-part.double().mean() for part in parts]).cpu()
    return (means * weights).sum() / weights.sum()


def _after_bos(weights: Any, config: Any, tokens: Any, stride: int) -> list[Tensor]:
    row = torch.as_tensor(tokens, device=weights["wte.weight"].device).long()
    bos = row.new_full((1,), {**model.DEFAULTS, **config}["vocab_size"] - 1)
    return _by_window(weights, config, torch.cat([bos, row]), stride)


MUTANTS: tuple[Mutant, ...] = (
    perplexity_bug(
        "perplexity-window-weights",
        "each window's mean is weighed by one token more than it scores",
        "huggingface/transformers#34138",
        effect="0.2 % off at half a window's stride",
        severity="long contexts",
        mean_surprise=_one_too_many,
    ),
    perplexity_bug(
        "perplexity-bos-first",
        "an end of text is put before the text, and the first token scored after it",
        "EleutherAI/lm-evaluation-harness:lm_eval/models/huggingface.py",
        effect="1 % off on 500 tokens, much on short texts",
        severity="probabilities",
        log_probabilities_by_window=_after_bos,
    ),
)
