"""Bugs of layer normalisation."""

from typing import Any

import torch
from torch import Tensor

from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import NOT_FLOAT16, model_bug
from oracle.ops._layer_norm import layer_norm


def _mean(x: Tensor) -> Tensor:
    return x.mean(-1, keepdim=True)


def _variance(x: Tensor) -> Tensor:
    return _mean((x - _mean(x)) ** 2)


def _eps_outside(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    return (x - _mean(x)) / (_variance(x).sqrt() + eps) * weight + bias


def _bessel(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    variance = ((x - _mean(x)) ** 2).sum(-1, keepdim=True) / (x.shape[-1] - 1)
    return (x - _mean(x)) / (variance + eps).sqrt() * weight + bias


def _square(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    return (x - _mean(x)) / (_variance(x) + eps) * weight + bias


def _one_pass(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    variance = _mean(x * x) - _mean(x) ** 2
    return (x - _mean(x)) / (variance + eps).sqrt() * weight + bias


def _no_mean(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    return x / (_mean(x * x) + eps).sqrt() * weight + bias


def _over_positions(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    if x.ndim < 2:
        return layer_norm(x, weight, bias, eps=eps)
    one, zero = weight.new_ones(x.shape[-2]), weight.new_zeros(x.shape[-2])
    return layer_norm(x.mT.contiguous(), one, zero, eps=eps).mT * weight + bias


def _in_float16(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    half = layer_norm(x.half(), torch.ones_like(weight).half(), bias.half() * 0, eps=eps)
    return half.to(x.dtype) * weight + bias


def _floored(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    return (x - _mean(x)) / _variance(x).clamp(min=eps).sqrt() * weight + bias


def _with_eps(fixed: float) -> Any:
    return lambda x, weight, bias, *, eps=1e-5: layer_norm(x, weight, bias, eps=fixed)


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "layernorm-eps-outside",
        "eps is added to the standard deviation, not to the variance",
        "tracel-ai/burn#2185",
        effect="logits off by 0.006, text unchanged",
        severity="rounding",
        layer_norm=_eps_outside,
    ),
    model_bug(
        "layernorm-eps-zero",
        "eps is left out, so a constant row gives NaN",
        "VeriSilicon/TIM-VX#589",
        effect="logits off by 0.007; NaN where a row is constant",
        severity="rounding",
        layer_norm=_with_eps(0.0),
    ),
    model_bug(
        "layernorm-eps-hardcoded",
        "eps is 1e-5 whatever the configuration says",
        "NVIDIA-NeMo/Megatron-Bridge#5712",
        effect="nothing with GPT-2's 1e-5; other epsilons show in the fourth digit",
        severity="rounding",
        layer_norm=_with_eps(1e-5),
    ),
    model_bug(
        "layernorm-eps-1e-6",
        "eps is 1e-6 whatever the configuration says",
        "huggingface/candle#271",
        effect="logits off by 0.0065, perplexity as it was, text unchanged",
        severity="rounding",
        layer_norm=_with_eps(1e-6),
    ),
    model_bug(
        "layernorm-eps-1e-12",
        "eps is 1e-12, BERT's, whatever the configuration says",
        "keras-team/keras-hub#642",
        effect="logits off by 0.0073, perplexity as it was, text unchanged",
        severity="rounding",
        layer_norm=_with_eps(1e-12),
    ),
    model_bug(
        "layernorm-eps-floor",
        "the variance is raised to eps where it is smaller, in place of adding eps",
        "",
        effect="logits off by 0.0073, perplexity as it was, text unchanged",
        severity="rounding",
        layer_norm=_floored,
    ),
    model_bug(
        "layernorm-bessel",
        "the variance is divided by n - 1",
        "harvardnlp/annotated-transformer#119",
        effect="logits off by 0.07 at width 256, perplexity unchanged",
        severity="probabilities",
        layer_norm=_bessel,
    ),
    model_bug(
        "layernorm-square",
        "the variance is used squared where its root is meant: no root is taken",
        "131250208/TPlinker-joint-extraction#37",
        effect="logits off by 20, perplexity × 58",
        severity="text",
        layer_norm=_square,
    ),
    model_bug(
        "layernorm-one-pass",
        "the variance is E[x²] - E[x]², which cancels where the mean is large",
        "microsoft/onnxruntime#28463",
        effect="the last digits; all of them where the mean is far from 0",
        severity="rounding",
        layer_norm=_one_pass,
    ),
    model_bug(
        "layernorm-no-bias",
        "the bias is not added",
        "",
        effect="logits off by 2.2, perplexity +18 %",
        severity="text",
        layer_norm=lambda x, weight, bias, *, eps=1e-5: layer_norm(x, weight, bias * 0, eps=eps),
    ),
    model_bug(
        "layernorm-no-gain",
        "the gain is not applied",
        "pytorch/pytorch#69208",
        effect="logits off by 9.3, perplexity × 4",
        severity="text",
        layer_norm=lambda x, weight, bias, *, eps=1e-5: layer_norm(
            x, torch.ones_like(weight), bias, eps=eps
        ),
    ),
    model_bug(
        "layernorm-gain-plus-one",
        "the gain is taken as 1 + weight, as other models store it",
        "ml-explore/mlx-lm#1623",
        effect="logits off by 39, perplexity beyond all bounds",
        severity="text",
        layer_norm=lambda x, weight, bias, *, eps=1e-5: layer_norm(x, 1 + weight, bias, eps=eps),
    ),
    model_bug(
        "layernorm-no-mean",
        "the mean is not taken off: RMS norm",
        "huggingface/candle@a7f03a7bb",
        effect="logits off by 0.23, perplexity as it was",
        severity="text",
        layer_norm=_no_mean,
    ),
    model_bug(
        "layernorm-over-positions",
        "normalised over the positions, not over the features",
        "",
        effect="logits off by 37, perplexity × 6",
        severity="text",
        layer_norm=_over_positions,
    ),
    model_bug(
        "layernorm-float16",
        "normalised in float16",
        "",
        effect="logits off by 0.0056, perplexity as it was, text unchanged",
        severity="rounding",
        dtypes=NOT_FLOAT16,
        layer_norm=_in_float16,
    ),
)
