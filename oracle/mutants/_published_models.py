"""Bugs of ports and adapters: a bias that is lost on the way, and constants of kernels."""

from collections.abc import Callable

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._attention import variant
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import WIDE, Call, changed, model_bug
from oracle.ops._activation import ACTIVATIONS
from oracle.ops._gelu import gelu_new
from oracle.ops._layer_norm import layer_norm

# llm.c starts the running maximum of its softmax here.
FIRST_MAXIMUM = -10000.0


def _without(name: str, third: int | None = None) -> Callable[..., model.Output]:
    """A `forward` without the biases whose names end so; of c_attn's three thirds, without one."""

    def run(call: Call) -> model.Output:
        weights = dict(call.weights)
        for key, bias in call.weights.items():
            if key.endswith(name):
                thirds = list(bias.clone().chunk(1 if third is None else 3))
                thirds[third or 0] = torch.zeros_like(thirds[third or 0])
                weights[key] = torch.cat(thirds)
        return call.run(weights=weights)

    return changed(run)


def _from_first_maximum(scores: Tensor, mask: Tensor) -> Tensor:
    """Where all scores are far below the first maximum their exponentials, and the sum, are 0."""
    top = scores.amax(-1, keepdim=True).clamp(min=FIRST_MAXIMUM)
    exponentials = torch.where(mask, (scores - top).exp(), 0)
    total = exponentials.sum(-1, keepdim=True)
    return exponentials / torch.where(total == 0, 1, total)


def _by_table(x: Tensor) -> Tensor:
    """One value for each float16 between -10 and 10, as ggml keeps it; 0 below, x above."""
    inside = gelu_new(x.half().float()).half().to(x.dtype)
    return torch.where(x <= -10, 0, torch.where(x >= 10, x, inside))


def _eps_1e_10(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    return layer_norm(x, weight, bias, eps=1e-10)


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "ln-1-bias-dropped",
        "the bias of the layer norm before attention is lost",
        "",
        effect="logits off by 1.4, perplexity −8 %",
        severity="text",
        forward=_without(".ln_1.bias"),
    ),
    model_bug(
        "ln-2-bias-dropped",
        "the bias of the layer norm before the MLP is lost",
        "",
        effect="logits off by 4.5, perplexity +56 %",
        severity="text",
        forward=_without(".ln_2.bias"),
    ),
    model_bug(
        "ln-f-bias-dropped",
        "the bias of the final layer norm is lost",
        "",
        effect="logits off by 2.1, perplexity −4 %",
        severity="text",
        forward=_without("ln_f.bias"),
    ),
    model_bug(
        "fc-bias-dropped",
        "the bias of the MLP's c_fc is lost",
        "",
        effect="logits off by 0.75, perplexity +5 %",
        severity="text",
        forward=_without("mlp.c_fc.bias"),
    ),
    model_bug(
        "mlp-projection-bias-dropped",
        "the bias of the MLP's c_proj is lost",
        "",
        effect="logits off by 0.59, perplexity +4 %",
        severity="text",
        forward=_without("mlp.c_proj.bias"),
    ),
    model_bug(
        "query-bias-dropped",
        "the query's third of c_attn's bias is lost",
        "",
        effect="logits off by 1.1, perplexity +13 %",
        severity="text",
        forward=_without("attn.c_attn.bias", 0),
    ),
    model_bug(
        "value-bias-dropped",
        "the value's third of c_attn's bias is lost",
        "",
        effect="logits off by 0.61, perplexity −5 %",
        severity="text",
        forward=_without("attn.c_attn.bias", 2),
    ),
    model_bug(
        "layernorm-eps-1e-10",
        "eps is 1e-10 whatever the configuration says",
        "",
        effect="logits off by 0.007, text unchanged",
        severity="rounding",
        layer_norm=_eps_1e_10,
    ),
    model_bug(
        "softmax-max-from-minus-1e4",
        "the softmax's running maximum starts at -1e4: scores all below that give 0",
        "karpathy/llm.c:train_gpt2.c",
        effect="nothing, until a query's scores are all below -10000",
        severity="rounding",
        attention=variant(normalise=_from_first_maximum),
    ),
    model_bug(
        "gelu-fp16-table",
        "GELU is looked up in a table of float16 values",
        "ggml-org/ggml:src/ggml-cpu/vec.h",
        effect="logits off by 0.003, text unchanged",
        severity="rounding",
        dtypes=WIDE,
        ACTIVATIONS=ACTIVATIONS | dict.fromkeys(("gelu_new", "gelu_pytorch_tanh"), _by_table),
    ),
)
