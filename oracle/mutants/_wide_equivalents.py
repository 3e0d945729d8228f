"""Honest ways to tile, split, page and pad, at the sizes at which it is done."""

import math

import torch
from torch import Tensor

from oracle.mutants._attention import variant
from oracle.mutants._equivalent_models import _in_pieces
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import EVERY, NOT_FLOAT16, model_bug

TILE = 64


def _online(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax in tiles of keys: the sum so far is rescaled as the maximum grows."""
    top = scores.new_full((*scores.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(top)
    for tile in scores.split(TILE, -1):
        new = torch.maximum(top, tile.amax(-1, keepdim=True))
        level = torch.where(new == -math.inf, 0, new)
        total = total * torch.exp(top - level) + torch.exp(tile - level).sum(-1, keepdim=True)
        top = new
    level = torch.where(top == -math.inf, 0, top)
    return torch.exp(scores - level) / torch.where(total > 0, total, 1)


def _splits(scores: Tensor, mask: Tensor) -> Tensor:
    """A softmax for each split of the keys, weighted by the splits' sums."""
    parts = scores.split(TILE, -1)
    logs = [torch.logsumexp(part, -1, keepdim=True) for part in parts]
    shares = torch.softmax(torch.cat(logs, -1), -1).nan_to_num(0)
    weighted = [
        torch.softmax(part, -1).nan_to_num(0) * share
        for part, share in zip(parts, shares.split(1, -1), strict=True)
    ]
    return torch.cat(weighted, -1)


def _split_sums(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    parts = zip(x.split(TILE, -1), weight.split(TILE, 0), strict=True)
    total = sum((a @ b for a, b in parts), x.new_zeros(()))
    return total if bias is None else total + bias


def _padded_columns(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Rows and columns of zeros up to the next multiple of 64, and the result cut."""
    terms, columns = weight.shape
    wide = torch.nn.functional.pad(weight, (0, -columns % TILE, 0, -terms % TILE))
    out = (torch.nn.functional.pad(x, (0, -terms % TILE)) @ wide)[..., :columns]
    return out if bias is None else out + bias


def _warps(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Mean and spread of warps of 32, added up."""
    width = x.shape[-1]
    mean = sum((part.sum(-1, keepdim=True) for part in x.split(32, -1)), x.new_zeros(())) / width
    parts = (x - mean).square().split(32, -1)
    spread = sum((part.sum(-1, keepdim=True) for part in parts), x.new_zeros(())) / width
    return (x - mean) / torch.sqrt(spread + eps) * weight + bias


EQUIVALENTS: tuple[Mutant, ...] = tuple(
    model_bug(id, says, "", area="equivalent", dtypes=dtypes, **replaces)
    for id, says, dtypes, replaces in (
        (
            "attention-online-64",
            "softmax in tiles of 64 keys, rescaled",
            NOT_FLOAT16,
            {"attention": variant(normalise=_online)},
        ),
        (
            "attention-splits-weighted",
            "a softmax for each 64 keys, weighted by their sums",
            NOT_FLOAT16,
            {"attention": variant(normalise=_splits)},
        ),
        ("linear-split-sums", "products in blocks of 64 terms", EVERY, {"linear": _split_sums}),
        ("linear-padded", "products padded to multiples of 64", EVERY, {"linear": _padded_columns}),
        ("layer-norm-warps", "layer norm in warps of 32", NOT_FLOAT16, {"layer_norm": _warps}),
        ("chunks-of-16", "16 tokens at a time", EVERY, {"forward": _in_pieces(lambda n: 16)}),
    )
)
