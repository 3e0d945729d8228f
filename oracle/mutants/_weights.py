"""Bugs of reading a checkpoint: which numbers go where."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from oracle import model
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import Call, changed, model_bug

_true_map = model._map


def _where(
    ends: tuple[str, ...], change: Callable[[Tensor, Any], Tensor]
) -> Callable[..., model.Output]:
    """A `forward` in which tensors are changed whose names end in `ends`: change(tensor, c)."""

    def run(call: Call) -> model.Output:
        weights = {n: change(w, call.c) if n.endswith(ends) else w for n, w in call.weights.items()}
        return call.run(weights=weights)

    return changed(run)


def _thirds(*order: int) -> Callable[[Tensor, Any], Tensor]:
    """The three column blocks of c_attn in another order."""
    return lambda tensor, c: tensor.unflatten(-1, (3, -1))[..., list(order), :].flatten(-2)


def _per_head(tensor: Tensor, c: Any) -> Tensor:
    """Read as query, key and value of the first head, then of the next."""
    return tensor.unflatten(-1, (c["n_head"], 3, -1)).transpose(-3, -2).flatten(-3)


def _transposed(weights: model.Weights, name: str, x: Tensor) -> Tensor:
    weight = weights[f"{name}.weight"]
    if weight.shape[0] != weight.shape[1]:
        return _true_map(weights, name, x)
    return model.linear(x, weight.mT, weights[f"{name}.bias"])


def _reread(weights: model.Weights, name: str, x: Tensor) -> Tensor:
    """Stored by columns and read by rows: the same numbers in another order."""
    weight = weights[f"{name}.weight"]
    return model.linear(x, weight.mT.reshape(weight.shape), weights[f"{name}.bias"])


def _no_bias(*maps: str) -> Callable[..., Tensor]:
    def apply(weights: model.Weights, name: str, x: Tensor) -> Tensor:
        if name.endswith(maps):
            return model.linear(x, weights[f"{name}.weight"])
        return _true_map(weights, name, x)

    return apply


def _as_shape(tensor: Tensor, *shape: int) -> Tensor:
    """The tensor's memory read as that shape; zeros past its end."""
    size = math.prod(shape)
    return F.pad(tensor.flatten(), (0, max(0, size - tensor.numel())))[:size].view(shape)


def _four_times(weights: model.Weights, name: str, x: Tensor) -> Tensor:
    """The MLP read as 4 n_embd wide, with the strides of that."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if name.endswith("mlp.c_fc"):
        embd = weight.shape[0]
        return model.linear(x, _as_shape(weight, embd, 4 * embd), _as_shape(bias, 4 * embd))
    if name.endswith("mlp.c_proj"):
        return model.linear(x, _as_shape(weight, 4 * len(bias), len(bias)), bias)
    return _true_map(weights, name, x)


def _fill(call: Call) -> model.Output:
    """Whatever the file lacks stays as it was initialised."""
    like = next(iter(call.weights.values()))
    weights = dict(call.weights)
    for name, shape in model.shapes(call.c).items():
        if name not in weights:
            weights[name] = 0.02 * torch.randn(shape, dtype=torch.float64).to(like)
    return call.run(weights=weights)


def _int8(tensor: Tensor, c: Any) -> Tensor:
    step = tensor.abs().amax() / 127
    return torch.where(step > 0, (tensor / step).round() * step, tensor)


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "conv1d-transposed",
        "a Conv1D weight is transposed, which shows only in what it computes where it is square",
        "nntile/nntile#370",
        effect="logits off by 13, perplexity × 2",
        severity="text",
        _map=_transposed,
    ),
    model_bug(
        "conv1d-order",
        "weights stored by rows are read by columns, shapes right and numbers misplaced",
        "nntile/nntile#402",
        effect="logits off by 17, perplexity × 52",
        severity="text",
        _map=_reread,
    ),
    model_bug(
        "qkv-keys-values-swapped",
        "c_attn is split into query, value, key",
        "tenstorrent/tt-mlir#8958",
        effect="logits off by 12, perplexity × 2",
        severity="text",
        forward=_where(("attn.c_attn.weight", "attn.c_attn.bias"), _thirds(0, 2, 1)),
    ),
    model_bug(
        "qkv-queries-keys-swapped",
        "c_attn is split into key, query, value",
        "",
        effect="logits off by 7.6, perplexity +59 %",
        severity="text",
        forward=_where(("attn.c_attn.weight", "attn.c_attn.bias"), _thirds(1, 0, 2)),
    ),
    model_bug(
        "qkv-split-after-heads",
        "c_attn is split into heads first, and each head into query, key, value",
        "tensorflow/swift-models#564",
        effect="logits off by 13, perplexity +92 %",
        severity="text",
        forward=_where(("attn.c_attn.weight", "attn.c_attn.bias"), _per_head),
    ),
    model_bug(
        "qkv-bias-dropped",
        "c_attn's bias is dropped",
        "sbryngelson/ANEForge#253",
        effect="logits off by 0.6, perplexity +4 %",
        severity="text",
        _map=_no_bias("attn.c_attn"),
    ),
    model_bug(
        "projection-bias-dropped",
        "the bias of attention's c_proj is dropped",
        "TransformerLensOrg/TransformerLens#654",
        effect="logits off by 2.2, perplexity −12 %",
        severity="text",
        _map=_no_bias("attn.c_proj"),
    ),
    model_bug(
        "mlp-bias-dropped",
        "the MLP's biases are dropped",
        "",
        effect="logits off by 1.3, perplexity +9 %",
        severity="text",
        _map=_no_bias("mlp.c_fc", "mlp.c_proj"),
    ),
    model_bug(
        "n-inner-ignored",
        "the MLP is taken to be 4 n_embd wide, with the strides of that",
        "karpathy/llm.c:train_gpt2.c",
        effect="nothing with n_inner of 4 n_embd; rubbish with any other",
        severity="text",
        _map=_four_times,
    ),
    model_bug(
        "missing-tensor-random",
        "a tensor missing from the file is left at its random start",
        "mosaicml/composer#2216",
        effect="rubbish where an error is due",
        severity="text",
        forward=changed(_fill),
    ),
    model_bug(
        "weights-int8",
        "matrices are rounded to 8-bit integers, one scale each",
        "",
        effect="logits off by 0.2, one text of three changed",
        severity="text",
        forward=_where((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"), _int8),
    ),
)
