"""Bugs of a block's wiring: norms, residuals, heads, layers."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from oracle import model
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import Call, Seen, changed, model_bug, steered

_true_norm = model._norm


def _split_wrongly(x: Tensor, layer: int | None, seen: Seen) -> Tensor:
    """(batch, head, query, head_dim) as a plain reshape of (batch, query, embd) gives it."""
    return x.transpose(1, 2).flatten(2).reshape(x.shape)


def _merge_wrongly(x: Tensor, layer: int | None, seen: Seen) -> Tensor:
    batch, head, query, width = x.shape
    return x.reshape(batch, query, head, width).transpose(1, 2)


def _sum(*names: str) -> Callable[[Tensor, int | None, Seen], Tensor]:
    """The sum of activations seen before, in place of this one."""
    return lambda x, layer, seen: sum((seen(n, layer) for n in names[1:]), seen(names[0], layer))


def _normed(name: str, of: str | None = None) -> Callable[[Tensor, int | None, Seen], Tensor]:
    """That layer norm of this activation, or of one seen before."""

    def normed(x: Tensor, layer: int | None, seen: Seen) -> Tensor:
        assert layer is not None  # a block's activations all have one
        return seen.norm(name, layer, seen(of, layer) if of else x)

    return normed


def _dropped(x: Tensor, layer: int | None, seen: Seen) -> Tensor:
    return F.dropout(x, 0.1, training=True)


def _layers(order: Callable[[int], list[int]]) -> Callable[..., model.Output]:
    """A `forward` whose layers are those of order(n_layer), which may be more or fewer."""

    def change(call: Call) -> model.Output:
        chosen = order(call.c["n_layer"])
        weights = {name: w for name, w in call.weights.items() if not name.startswith("h.")}
        for new, old in enumerate(chosen):
            prefix = f"h.{old}."
            for name, weight in call.weights.items():
                if name.startswith(prefix):
                    weights[f"h.{new}.{name.removeprefix(prefix)}"] = weight
        return call.run(weights=weights, config={**call.config, "n_layer": len(chosen)})

    return changed(change)


def _first_norm_twice(call: Call) -> model.Output:
    old = call.weights
    return call.run(weights={n: old.get(n.replace(".ln_2.", ".ln_1."), w) for n, w in old.items()})


RESIDUALS = ("token_embedding", "attn_out", "mlp_out")

MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "layers-file-order",
        "layers are taken in the order of their names: 0, 1, 10, 11, 2",
        "b4rtaz/distributed-llama#52",
        effect="nothing up to 10 layers; rubbish from 11 on",
        severity="text",
        forward=_layers(lambda n: sorted(range(n), key=str)),
    ),
    model_bug(
        "layers-shared",
        "every layer has the first one's weights",
        "zalandoresearch/pytorch-vq-vae#2",
        effect="logits off by 23, perplexity × 11",
        severity="text",
        forward=_layers(lambda n: [0] * n),
    ),
    model_bug(
        "last-layer-skipped",
        "the last layer is left out",
        "",
        effect="logits off by 12, perplexity × 2",
        severity="text",
        forward=_layers(lambda n: list(range(n - 1))),
    ),
    model_bug(
        "ln-f-missing",
        "no final layer norm",
        "OpenNMT/CTranslate2#850",
        effect="logits off by 76, perplexity beyond all bounds",
        severity="text",
        _norm=lambda weights, c, name, x, *tap: (
            x if name == "ln_f" else _true_norm(weights, c, name, x, *tap)
        ),
    ),
    model_bug(
        "ln-1-for-ln-2",
        "a block's first layer norm stands in the place of its second too",
        "ml-explore/mlx#1636",
        effect="logits off by 6.1, perplexity +86 %",
        severity="text",
        forward=changed(_first_norm_twice),
    ),
    model_bug(
        "post-norm",
        "layer norms come after each residual sum, not before each map",
        "gao-hongnan/omniverse#72",
        effect="logits off by 19, perplexity × 102",
        severity="text",
        forward=steered(
            ln_1=_sum("resid_pre"),
            resid_mid=_normed("ln_1"),
            ln_2=_sum("resid_mid"),
            resid_post=_normed("ln_2"),
        ),
    ),
    model_bug(
        "residual-missing-attention",
        "nothing is added to what attention puts out",
        "",
        effect="logits off by 22, perplexity × 119",
        severity="text",
        forward=steered(resid_mid=_sum("attn_out")),
    ),
    model_bug(
        "residual-missing-mlp",
        "nothing is added to what the MLP puts out",
        "",
        effect="logits off by 21, perplexity × 50",
        severity="text",
        forward=steered(resid_post=_sum("mlp_out")),
    ),
    model_bug(
        "residual-from-normed",
        "the residual stream is taken after the layer norm, not before",
        "Howuhh/faster-trajectory-transformer#3",
        effect="logits off by 20, perplexity × 319",
        severity="text",
        forward=steered(
            resid_mid=_sum("ln_1", "attn_out"),
            resid_post=_sum("ln_2", "mlp_out"),
        ),
    ),
    model_bug(
        "residual-of-block-input",
        "the second residual sum starts from the block's input, so attention's output is lost",
        "strutive07/transformer-tensorflow2.0#14",
        effect="logits off by 6.8, perplexity +89 %",
        severity="text",
        forward=steered(resid_post=_sum("resid_pre", "mlp_out")),
    ),
    model_bug(
        "parallel-blocks",
        "the MLP reads the block's input beside attention, as in GPT-J",
        "ggml-org/ggml#139",
        effect="logits off by 4.3, perplexity −17 %",
        severity="text",
        forward=steered(ln_2=_normed("ln_2", "resid_pre")),
    ),
    model_bug(
        "heads-split-by-reshape",
        "heads are split off by a reshape without transposing",
        "reczoo/FuxiCTR#30",
        effect="logits off by 10, perplexity +70 %",
        severity="text",
        forward=steered(query=_split_wrongly, key=_split_wrongly, value=_split_wrongly),
    ),
    model_bug(
        "heads-merged-by-reshape",
        "heads are put together by a reshape without transposing back",
        "jsbaan/transformer-from-scratch#6",
        effect="logits off by 12, perplexity × 3",
        severity="text",
        forward=steered(head_out=_merge_wrongly),
    ),
    model_bug(
        "dropout-in-eval",
        "dropout is left on: the same call gives other logits each time",
        "pytorch/pytorch#124464",
        effect="logits off by 4, and other ones with each call",
        severity="text",
        forward=steered(**dict.fromkeys(RESIDUALS, _dropped)),
    ),
    model_bug(
        "residual-is-attention",
        "attention's output is added to itself, not to the residual stream",
        "kyegomez/BitNet#32",
        effect="logits off by 21, perplexity × 83",
        severity="text",
        forward=steered(resid_mid=_sum("attn_out", "attn_out")),
    ),
)
