"""What decoders ask of a model: whole rows in, no cache, no state, so nothing to go stale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from oracle import model
from oracle.decoding import _processors as processors
from oracle.decoding._rows import Row, Settings, Tokens
from oracle.ops._softmax import log_softmax

Rows: TypeAlias = Sequence[Tokens]


@dataclass(frozen=True)
class LanguageModel:
    """logits_of(rows): (rows, vocab), the scores of what may follow each row.

    hidden_of(rows): for each row the final hidden states at its tokens, (length, embd); only
    contrastive search needs it.
    """

    logits_of: Callable[[Rows], Tensor]
    hidden_of: Callable[[Rows], list[Tensor]] | None = None


def from_weights(
    weights: model.Weights, config: model.Config, *, rows_at_once: int = 64
) -> LanguageModel:
    """GPT-2 as `oracle.model.forward` computes it, on the weights' device and in their dtype.

    Rows of any lengths go through together, padded on the right under a mask.

    >>> tiny = {"vocab_size": 3, "n_positions": 4, "n_embd": 8, "n_layer": 1, "n_head": 2}
    >>> weights = {name: torch.zeros(shape) for name, shape in model.shapes(tiny).items()}
    >>> from_weights(weights, tiny).logits_of([[1, 2], [0]]).shape
    torch.Size([2, 3])
    """
    device = weights["wte.weight"].device

    def forward(rows: Rows) -> model.Output:
        width = max(map(len, rows))
        padded = [list(row) + [0] * (width - len(row)) for row in rows]
        mask = [[place < len(row) for place in range(width)] for row in rows]
        return model.forward(
            weights,
            config,
            torch.tensor(padded, device=device),
            mask=torch.tensor(mask, device=device),
        )

    def chunks(rows: Rows) -> list[Rows]:
        return [rows[i : i + rows_at_once] for i in range(0, len(rows), rows_at_once)]

    @torch.no_grad()
    def logits_of(rows: Rows) -> Tensor:
        found = []
        for some in chunks(rows):
            logits = forward(some).logits
            found.append(logits[range(len(some)), [len(row) - 1 for row in some]])
        return torch.cat(found)

    @torch.no_grad()
    def hidden_of(rows: Rows) -> list[Tensor]:
        found = []
        for some in chunks(rows):
            hidden = forward(some).hidden
            found += [states[: len(row)] for states, row in zip(hidden, some, strict=True)]
        return found

    return LanguageModel(logits_of, hidden_of)


def next_scores(
    language_model: LanguageModel, rows: Sequence[Row], settings: Settings, *, beams: bool
) -> tuple[Tensor, Tensor]:
    """The model's own log-probabilities, and the scores that the processors start from.

    Both float64 (rows, vocab). The scores are the logits, in beams their log-softmax; or, with
    guidance_scale, the guided log-probabilities, which are not normalised again.
    """
    logits = language_model.logits_of([row.tokens for row in rows]).double()
    likely, scale = log_softmax(logits), settings.get("guidance_scale")
    if scale is None or scale == 1:
        return likely, likely if beams else logits
    negative = language_model.logits_of([row.negative_context for row in rows]).double()
    return likely, processors.guidance(logits, negative, scale)
