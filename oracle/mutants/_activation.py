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


def _with(
    function: Callable[[Tensor], Tensor], names: tuple[str, ...]
) -> dict[str, Callable[..., Tensor]]:
    """The activations, with `function` under each of the names."""
    return ACTIVATIONS | dict.fromkeys(names, function)


def _tanh_form(
    x: Tensor, *, root: float = math.sqrt(2 / math.pi), cubic: float = 0.044715
) -> Tensor:
    return x / 2 * (1 + torch.tanh(root * (x + cubic * x**3)))


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "gelu-erf",
        "exact erf GELU where the weights were trained with the tanh form",
        "karpathy/nanoGPT#274",
        effect="logits off by 0.005, text unchanged",
        severity="rounding",
        ACTIVATIONS=_with(gelu, _TANH_FORMS),
    ),
    model_bug(
        "gelu-tanh-for-erf",
        "the tanh form of GELU where the exact one is configured",
        "ggml-org/llama.cpp#13667",
        effect="logits off by 0.005 in models with the exact GELU",
        severity="rounding",
        ACTIVATIONS=_with(gelu_new, ("gelu",)),
    ),
    model_bug(
        "gelu-sigmoid",
        "x sigmoid(1.702 x) for GELU",
        "harvard-edge/cs249r_book#1690",
        effect="logits off by 0.65, perplexity −4 %",
        severity="text",
        ACTIVATIONS=_with(lambda x: x * torch.sigmoid(1.702 * x), _GELUS),
    ),
    model_bug(
        "gelu-cubic-typo",
        "GELU's 0.044715 mistyped as 0.44715",
        "",
        effect="logits off by 4.3, perplexity +77 %",
        severity="text",
        ACTIVATIONS=_with(lambda x: _tanh_form(x, cubic=0.44715), _TANH_FORMS),
    ),
    model_bug(
        "gelu-cubic-dropped",
        "GELU's cubic term is missing",
        "",
        effect="logits off by 1.7, perplexity −9 %",
        severity="text",
        ACTIVATIONS=_with(lambda x: _tanh_form(x, cubic=0.0), _TANH_FORMS),
    ),
    model_bug(
        "gelu-constants-swapped",
        "GELU's two constants, sqrt(2/π) and 0.044715, change places",
        "huggingface/transformers#11514",
        effect="logits off by 19, perplexity +57 %",
        severity="text",
        ACTIVATIONS=_with(
            lambda x: _tanh_form(x, root=0.044715, cubic=math.sqrt(2 / math.pi)), _TANH_FORMS
        ),
    ),
    model_bug(
        "gelu-root-forgotten",
        "GELU's sqrt(2/π) is 2/π",
        "",
        effect="logits off by 3.3, perplexity −13 %",
        severity="text",
        ACTIVATIONS=_with(lambda x: _tanh_form(x, root=2 / math.pi), _TANH_FORMS),
    ),
    model_bug(
        "activation-ignored",
        "gelu_new whatever the configuration says",
        "EleutherAI/gpt-neo#79",
        effect="nothing with gelu_new; other logits with other functions",
        severity="text",
        ACTIVATIONS=_with(gelu_new, tuple(ACTIVATIONS)),
    ),
    model_bug(
        "activation-missing",
        "no activation function",
        "leffff/graphormer-pyg#23",
        effect="logits off by 26, perplexity × 21",
        severity="text",
        ACTIVATIONS=_with(lambda x: x, tuple(ACTIVATIONS)),
    ),
    model_bug(
        "relu-for-gelu",
        "ReLU for GELU",
        "PaddlePaddle/PaddleNLP#1048",
        effect="logits off by 9.4, perplexity × 5",
        severity="text",
        ACTIVATIONS=_with(torch.relu, _GELUS),
    ),
    model_bug(
        "silu-for-gelu",
        "SiLU for GELU",
        "togethercomputer/stripedhyena#9",
        effect="logits off by 9.6, perplexity −8 %",
        severity="text",
        ACTIVATIONS=_with(ACTIVATIONS["silu"], _GELUS),
    ),
)
