"""Honest other ways to compute an affine map, a layer norm and the activation functions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import EVERY, NOT_FLOAT16, model_bug
from oracle.ops._activation import ACTIVATIONS
from oracle.ops._layer_norm import layer_norm
from oracle.ops._linear import linear

_TANH_FORMS = ("gelu_new", "gelu_pytorch_tanh")


def _plus(product: Tensor, bias: Tensor | None) -> Tensor:
    return product if bias is None else product + bias


def _reversed(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return linear(x.flip(-1), weight.flip(0), bias)


def _one_by_one(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    total = x.new_zeros(*x.shape[:-1], weight.shape[1])
    for i in range(len(weight)):
        total = total + x[..., i : i + 1] * weight[i]
    return _plus(total, bias)


def _pairwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    terms = x[..., None, :] * weight.mT
    while terms.shape[-1] > 1:
        odd = terms[..., terms.shape[-1] // 2 * 2 :]
        terms = torch.cat([terms[..., :-1:2] + terms[..., 1::2], odd], -1)
    return _plus(terms[..., 0], bias)


def _in_blocks(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    parts = zip(x.split(3, -1), weight.split(3), strict=True)
    return _plus(sum((a @ b for a, b in parts), x.new_zeros(())), bias)


def _by_columns(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _plus(torch.cat([x @ block for block in weight.split(4, 1)], -1), bias)


def _einsum(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _plus(torch.einsum("...i,io->...o", x, weight), bias)


def _bias_as_row(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if bias is None:
        return linear(x, weight)
    return torch.cat([torch.ones_like(x[..., :1]), x], -1) @ torch.cat([bias[None], weight])


def linear_in_float64(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W + b, rounded once at the end."""
    wide = None if bias is None else bias.double()
    return linear(x.double(), weight.double(), wide).to(x.dtype)


def layer_norm_in_float64(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Layer norm, rounded once at the end."""
    return layer_norm(x.double(), weight.double(), bias.double(), eps=eps).to(x.dtype)


def _two_passes(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    below = x - x.mean(-1, keepdim=True)
    return below / ((below * below).mean(-1, keepdim=True) + eps).sqrt() * weight + bias


def _centred_twice(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    return _two_passes(x - x.mean(-1, keepdim=True), weight, bias, eps=eps)


def _rsqrt(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
    return (x - mean) * (torch.rsqrt(variance + eps) * weight) + bias


def _wide_statistics(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    variance, mean = torch.var_mean(x.double(), -1, correction=0, keepdim=True)
    return ((x - mean) / (variance + eps).sqrt()).to(x.dtype) * weight + bias


def _welford(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    mean, squares = torch.zeros_like(x[..., :1]), torch.zeros_like(x[..., :1])
    for count in range(1, x.shape[-1] + 1):
        new = x[..., count - 1 : count]
        off = new - mean
        mean = mean + off / count
        squares = squares + off * (new - mean)
    return (x - mean) / (squares / x.shape[-1] + eps).sqrt() * weight + bias


# In float16 a square overflows from 256 on, so there these are not honest.
_NARROW_SQUARES = (_two_passes, _centred_twice, _rsqrt, _welford)


def _inner(x: Tensor) -> Tensor:
    """What GELU's tanh form takes the tanh of, by Horner's rule."""
    return x * math.sqrt(2 / math.pi) * (1 + 0.044715 * x * x)


def _with(
    function: Callable[[Tensor], Tensor], *names: str
) -> dict[str, Callable[[Tensor], Tensor]]:
    return ACTIVATIONS | dict.fromkeys(names, function)


def _wide(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x.double()).to(x.dtype)


WIDE_ACTIVATIONS = {name: _wide(function) for name, function in ACTIVATIONS.items()}

EQUIVALENTS: tuple[Mutant, ...] = tuple(
    model_bug(
        id,
        says,
        "",
        area="equivalent",
        dtypes=NOT_FLOAT16 if replaces.get("layer_norm") in _NARROW_SQUARES else EVERY,
        **replaces,
    )
    for id, says, replaces in (
        ("sums-reversed", "sums run from the last term", {"linear": _reversed}),
        ("sums-one-by-one", "sums run term after term", {"linear": _one_by_one}),
        ("sums-pairwise", "sums are trees of pairs", {"linear": _pairwise}),
        ("sums-in-blocks", "products in blocks of three terms", {"linear": _in_blocks}),
        ("columns-in-blocks", "products in blocks of four outputs", {"linear": _by_columns}),
        ("products-einsum", "products by einsum", {"linear": _einsum}),
        ("bias-as-row", "the bias is a row of the matrix", {"linear": _bias_as_row}),
        ("linear-float64", "affine maps summed in float64", {"linear": linear_in_float64}),
        ("layer-norm-two-pass", "layer norm by its formula", {"layer_norm": _two_passes}),
        ("layer-norm-centred-twice", "the mean taken off twice", {"layer_norm": _centred_twice}),
        ("layer-norm-rsqrt", "times 1/sqrt, gain first", {"layer_norm": _rsqrt}),
        ("layer-norm-wide", "its statistics in float64", {"layer_norm": _wide_statistics}),
        ("layer-norm-welford", "its statistics in one stable pass", {"layer_norm": _welford}),
        (
            "gelu-by-sigmoid",
            "tanh form of GELU as x sigmoid(2y)",
            {"ACTIVATIONS": _with(lambda x: x * torch.sigmoid(2 * _inner(x)), *_TANH_FORMS)},
        ),
        (
            "gelu-by-exp",
            "tanh form of GELU as x / (1 + exp(-2y))",
            {"ACTIVATIONS": _with(lambda x: x / (1 + torch.exp(-2 * _inner(x))), *_TANH_FORMS)},
        ),
        (
            "gelu-by-tanh",
            "tanh form of GELU as it is written",
            {"ACTIVATIONS": _with(lambda x: x / 2 * (1 + torch.tanh(_inner(x))), *_TANH_FORMS)},
        ),
        (
            "gelu-by-erfc",
            "exact GELU by the complementary error function",
            {"ACTIVATIONS": _with(lambda x: x / 2 * torch.erfc(-x * math.sqrt(0.5)), "gelu")},
        ),
        (
            "silu-by-tanh",
            "SiLU as x/2 (1 + tanh(x/2))",
            {"ACTIVATIONS": _with(lambda x: x / 2 * (1 + torch.tanh(x / 2)), "silu", "swish")},
        ),
    )
)
