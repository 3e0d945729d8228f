"""Bugs of single ops that narrow arrays do not show: remainders of vectors, and block sizes."""

from collections.abc import Callable

import torch
from torch import Tensor

from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import EVERY, model_bug
from oracle.ops._activation import ACTIVATIONS
from oracle.ops._embedding import embedding
from oracle.ops._linear import linear


def _tail_left(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Numbers behind the last whole vector of 64 stay as they are, where there is one."""

    def act(x: Tensor) -> Tensor:
        flat = x.flatten()
        whole = flat.numel() // 64 * 64
        if not whole:
            return function(x)
        return torch.cat([function(flat[:whole]), flat[whole:]]).reshape(x.shape)

    return act


def _first_terms(limit: int) -> Callable[..., Tensor]:
    def act(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return linear(x[..., :limit], weight[:limit], bias)

    return act


def _first_columns(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Of more than 4096 outputs those behind are left at 0."""
    made = linear(x, weight, bias)
    return torch.cat([made[..., :4096], torch.zeros_like(made[..., 4096:])], -1)


def _narrow_ids(ids: Tensor, weight: Tensor) -> Tensor:
    narrow = ids.to(torch.int16).long()
    return embedding(narrow.where(narrow >= 0, narrow + weight.shape[0]), weight)


def _first_features(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float) -> Tensor:
    deviation, mean = torch.std_mean(x[..., :1024], -1, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(deviation**2 + eps) * weight + bias


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "layernorm-first-1024",
        "mean and variance are those of the first 1024 features",
        "",
        effect="logits off in GPT-2 Large and XL",
        severity="text",
        layer_norm=_first_features,
        dtypes=("float64", "float32", "float16"),
    ),
    model_bug(
        "activation-tail-left",
        "numbers behind the last whole vector of 64 are not activated",
        "",
        effect="logits off in widths that 64 does not divide",
        severity="text",
        dtypes=EVERY,
        ACTIVATIONS={name: _tail_left(function) for name, function in ACTIVATIONS.items()},
    ),
    model_bug(
        "linear-first-1024",
        "sums of more than 1024 products leave out those behind",
        "",
        effect="logits wrong in wide models",
        severity="text",
        linear=_first_terms(1024),
        dtypes=("float64", "float32", "float16"),
    ),
    model_bug(
        "linear-4096-outputs",
        "of an affine map's outputs those behind the first 4096 stay 0",
        "",
        effect="logits wrong in GPT-2 XL",
        severity="text",
        linear=_first_columns,
        dtypes=("float64", "float32", "float16"),
    ),
    model_bug(
        "embedding-int16",
        "token ids are kept in 16 bits, so that those from 32768 on are other tokens",
        "urvashik/knnlm#6",
        effect="wrong for a third of GPT-2's tokens",
        severity="text",
        embedding=_narrow_ids,
    ),
)
