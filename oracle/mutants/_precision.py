"""Bugs of precision: computed in less than is claimed."""

from collections.abc import Callable

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._attention import variant
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import WIDE, Call, changed, model_bug
from oracle.ops._linear import linear
from oracle.ops._softmax import softmax


def _tf32(x: Tensor) -> Tensor:
    """x rounded to the 11 significant bits of TF32, to nearest and ties to even."""
    bits = x.float().contiguous().view(torch.int32)
    odd = (bits >> 13) & 1
    return ((bits + 0x0FFF + odd) & ~0x1FFF).view(torch.float32).to(x.dtype)


def _linear_in(kind: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """An affine map whose operands pass through `kind` first."""

    def narrow(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        product = linear(kind(x), kind(weight)).to(x.dtype)
        return product if bias is None else product + bias

    return narrow


def _plain_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """NaN where a score is infinite, as inf - inf is."""
    return torch.where(mask.any(-1, keepdim=True), torch.softmax(scores, -1), 0)


def _float32(call: Call) -> model.Output:
    """All in float32; the logits have the dtype that is claimed."""
    kind = next(iter(call.weights.values())).dtype
    output = call.run(weights={name: w.float() for name, w in call.weights.items()})
    return model.Output(output.logits.to(kind), output.hidden.to(kind), output.past)


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "tf32",
        "TF32 matrix products are taken for float32",
        "tensorflow/tensorflow#127577",
        effect="logits off by 0.005, text unchanged",
        severity="rounding",
        dtypes=WIDE,
        linear=_linear_in(_tf32),
        attention=variant(
            product=lambda q, k, scale: _tf32(q) @ _tf32(k).mT * scale,
            mixed=lambda pattern, value: _tf32(pattern) @ _tf32(value),
        ),
    ),
    model_bug(
        "fp16-score-overflow",
        "the product of queries and keys is taken in float16, where it overflows",
        "huggingface/transformers#24638",
        effect="logits off by 0.004; NaN where a score is beyond 65504",
        severity="rounding",
        attention=variant(
            product=lambda q, k, scale: (q.half() @ k.half().mT).to(q.dtype) * scale,
            normalise=_plain_softmax,
        ),
    ),
    model_bug(
        "linear-float16",
        "matrix products are taken in float16",
        "ggml-org/ggml:src/ggml-cpu/ggml-cpu.c",
        effect="logits off by 0.011, perplexity as it was, text unchanged",
        severity="probabilities",
        dtypes=WIDE,
        linear=_linear_in(Tensor.half),
    ),
    model_bug(
        "linear-bfloat16",
        "matrix products are taken in bfloat16",
        "ggml-org/ggml:src/ggml-cpu/ggml-cpu.c",
        effect="logits off by 0.1, perplexity as it was, text unchanged",
        severity="probabilities",
        dtypes=(*WIDE, "float16"),
        linear=_linear_in(Tensor.bfloat16),
    ),
    model_bug(
        "softmax-bfloat16",
        "attention's softmax is taken in bfloat16",
        "",
        effect="logits off by 0.015, perplexity as it was, text unchanged",
        severity="probabilities",
        dtypes=(*WIDE, "float16"),
        attention=variant(normalise=lambda scores, mask: softmax(scores.bfloat16())),
    ),
    model_bug(
        "float64-is-float32",
        "float64 weights are computed with in float32",
        "jax-ml/jax:docs/notebooks/Common_Gotchas_in_JAX.md",
        effect="half the digits are lost",
        severity="rounding",
        dtypes=("float64",),
        forward=changed(_float32),
    ),
)
