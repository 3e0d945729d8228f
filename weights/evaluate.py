"""Bits per character of held-out text: -log2 of the probability of its tokens, by its length."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from npgpt.tokenizer._encoding import Tokenizer
from oracle import model

STRIDE = 128
BATCH = 16


@dataclass(frozen=True)
class Window:
    """inputs, targets: (n_positions,); the targets from `first` to `last` are to be scored."""

    inputs: Tensor
    targets: Tensor
    first: int
    last: int
    characters: int


def windows(tokenizer: Tokenizer, texts: Iterable[str], width: int) -> list[Window]:
    """Cut texts into windows that score each token once, with STRIDE tokens before it or more.

    The first token of a text is scored after an end-of-text token, and the others of the first
    window with what context there is.
    """
    end = tokenizer.end_of_text
    found = []
    for text in texts:
        ids = [end, *tokenizer.encode(text)]
        scored = 1  # the end-of-text token is given
        while scored < len(ids):
            stop = min(len(ids), width + 1 if scored == 1 else scored + STRIDE)
            start = max(0, stop - 1 - width)
            first, last = scored - 1 - start, stop - 1 - start
            characters = len(tokenizer.decode(ids[scored:stop]))
            row = torch.tensor(ids[start:stop])
            row = F.pad(row, (0, width + 1 - len(row)))  # a short text: padding comes last, unseen
            found.append(Window(row[:-1], row[1:], first, last, characters))
            scored = stop
    return found


@torch.no_grad()
def bits_per_character(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], scored: list[Window]
) -> float:
    """Total bits over total characters of some windows."""
    nats = 0.0
    for i in range(0, len(scored), BATCH):
        group = scored[i : i + BATCH]
        logits = model.logits(weights, config, torch.stack([w.inputs for w in group]))
        targets = torch.stack([w.targets for w in group])
        losses = F.cross_entropy(logits.float().mT, targets, reduction="none")
        nats += sum(float(x[w.first : w.last].sum()) for x, w in zip(losses, group, strict=True))
    return nats / math.log(2) / sum(w.characters for w in scored)
