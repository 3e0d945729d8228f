"""What a model says of a residual stream that is read before its last block."""

from typing import Any

import torch
from torch import Tensor

from oracle import model
from oracle.model import Config, Weights


def logit_lens(residual: Tensor, weights: Weights, config: Config) -> Tensor:
    """ln_f(x) lm_headᵀ, as the model without its blocks computes it where its embedding is x.

    residual: (batch, query, embd); returns (batch, query, vocab). Source: nostalgebraist 2020,
    "interpreting GPT: the logit lens".

    >>> tiny = {"vocab_size": 2, "n_positions": 1, "n_embd": 2, "n_layer": 3, "n_head": 1}
    >>> weights = {name: torch.zeros(shape) for name, shape in model.shapes(tiny).items()}
    >>> weights["wte.weight"], weights["ln_f.weight"] = torch.eye(2), torch.tensor([1.0, 3.0])
    >>> logit_lens(torch.tensor([[[7.0, -7.0], [0.0, 2.0]]]), weights, tiny).round().tolist()
    [[[1.0, -3.0], [-1.0, 3.0]]]
    """
    of = {"token_embedding": residual, "position_embedding": torch.zeros_like(residual)}

    def tap(name: str, layer: int | None, tensor: Tensor) -> Tensor:
        return of.get(name, tensor)

    without: dict[str, Any] = {**config, "n_layer": 0}
    tokens = torch.zeros(residual.shape[:2], dtype=torch.int64, device=residual.device)
    return model.logits(weights, without, tokens, positions=tokens, tap=tap)
