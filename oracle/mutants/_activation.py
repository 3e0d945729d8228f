"""Bugs of the activation functions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import model_bug
from oracle.ops._activation import ACTIVATIONS
from oracle.ops._gelu import gelu, gelu_new

_TANH_FORMS = ("gelu_new", "gelu_pytorch_tanh")
_GELUS = ("gelu", *_TANH_FORMS)
_SILUS = ("silu", "swish")


def _with(function: Callable[[Tensor], Tensor], names: tuple[str, ...]) -> dict[str, Callable]:
    """The activations, with `function` under each of the names."""
    return ACTIVATIONS | dict.fromkeys(names, function)


def _tanh_form(
    x: Tensor, *, root: float = math.sqrt(2 / math.pi), cubic: float = 0.044715, power: int = 3
) -> Tensor:
    return x / 2 * (1 + torch.tanh(root * (x + cubic * x**power)))


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "gelu-erf",
        "exact erf GELU where the weights were trained with the tanh form",
        "karpathy/nanoGPT#274",
        ACTIVATIONS=_with(gelu, _TANH_FORMS),
    ),
    model_bug(
        "gelu-tanh-for-erf",
        "the tanh form of GELU where the exact one is configured",
        "",
        ACTIVATIONS=_with(gelu_new, ("gelu",)),
    ),
    model_bug(
        "gelu-sigmoid",
        "x sigmoid(1.702 x) for GELU",
        "harvard-edge/cs249r_book#1690",
        ACTIVATIONS=_with(lambda x: x * torch.sigmoid(1.702 * x), _GELUS),
    ),
    model_bug(
        "gelu-cubic-typo",
        "GELU's 0.044715 mistyped as 0.4715",
        "",
        ACTIVATIONS=_with(lambda x: _tanh_form(x, cubic=0.4715), _TANH_FORMS),
    ),
    model_bug(
        "gelu-cubic-dropped",
        "GELU's cubic term is missing",
        "",
        ACTIVATIONS=_with(lambda x: _tanh_form(x, cubic=0.0), _TANH_FORMS),
    ),
    model_bug(
        "gelu-cubic-square",
        "GELU's cubic term is a square",
        "",
        ACTIVATIONS=_with(lambda x: _tanh_form(x, power=2), _TANH_FORMS),
    ),
    model_bug(
        "gelu-root-coarse",
        "GELU's sqrt(2/π) is written as 0.8",
        "",
        ACTIVATIONS=_with(lambda x: _tanh_form(x, root=0.8), _TANH_FORMS),
    ),
    model_bug(
        "gelu-root-forgotten",
        "GELU's sqrt(2/π) is 2/π",
        "",
        ACTIVATIONS=_with(lambda x: _tanh_form(x, root=2 / math.pi), _TANH_FORMS),
    ),
    model_bug(
        "activation-ignored",
        "gelu_new whatever the configuration says",
        "EleutherAI/gpt-neo#79",
        ACTIVATIONS=_with(gelu_new, tuple(ACTIVATIONS)),
    ),
    model_bug(
        "activation-missing",
        "no activation function",
        "",
        ACTIVATIONS=_with(lambda x: x, tuple(ACTIVATIONS)),
    ),
    model_bug(
        "relu-for-gelu",
        "ReLU for GELU",
        "",
        ACTIVATIONS=_with(torch.relu, _GELUS),
    ),
    model_bug(
        "silu-for-gelu",
        "SiLU for GELU",
        "togethercomputer/stripedhyena#9",
        ACTIVATIONS=_with(ACTIVATIONS["silu"], _GELUS),
    ),
    model_bug(
        "silu-is-sigmoid",
        "sigmoid(x) for SiLU, which is x sigmoid(x)",
        "",
        ACTIVATIONS=_with(torch.sigmoid, _SILUS),
    ),
)
