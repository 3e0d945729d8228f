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
    return lambda x, layer, seen: seen.norm(name, layer, seen(of, layer) if of else x)


def _dropped(x: Tensor, layer: int | None, seen: Seen) -> Tensor:
    return F.dropout(x, 0.1, training=True)


def _shrunk(x: Tensor, layer: int | None, seen: Seen) -> Tensor:
    return 0.9 * x


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


RESIDUALS = ("token_embedding", "attn_out", "mlp_out")

MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "layers-file-order",
        "layers are taken in the order of their names: 0, 1, 10, 11, 2",
        "b4rtaz/distributed-llama#52",
        forward=_layers(lambda n: sorted(range(n), key=str)),
    ),
    model_bug(
        "layers-reversed",
        "layers are applied last first",
        "",
        forward=_layers(lambda n: list(reversed(range(n)))),
    ),
    model_bug(
        "layers-shared",
        "every layer has the first one's weights",
        "zalandoresearch/pytorch-vq-vae#2",
        forward=_layers(lambda n: [0] * n),
    ),
    model_bug(
        "last-layer-skipped",
        "the last layer is left out",
        "",
        forward=_layers(lambda n: list(range(n - 1))),
    ),
    model_bug(
        "first-layer-twice",
        "the first layer is applied twice",
        "",
        forward=_layers(lambda n: [0, *range(n)] if n else []),
    ),
    model_bug(
        "ln-f-missing",
        "no final layer norm",
        "OpenNMT/CTranslate2#850",
        _norm=lambda weights, c, name, x, *tap: (
            x if name == "ln_f" else _true_norm(weights, c, name, x, *tap)
        ),
    ),
    model_bug(
        "ln-1-and-2-swapped",
        "a block's two layer norms are swapped",
        "",
        _norm=lambda weights, c, name, x, *tap: _true_norm(
            weights, c, name[:-1] + {"1": "2", "2": "1"}.get(name[-1], "f"), x, *tap
        ),
    ),
    model_bug(
        "post-norm",
        "layer norms come after each residual sum, not before each map",
        "gao-hongnan/omniverse#72",
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
        forward=steered(resid_mid=_sum("attn_out")),
    ),
    model_bug(
        "residual-missing-mlp",
        "nothing is added to what the MLP puts out",
        "",
        forward=steered(resid_post=_sum("mlp_out")),
    ),
    model_bug(
        "residual-from-normed",
        "the residual stream is taken after the layer norm, not before",
        "Howuhh/faster-trajectory-transformer#3",
        forward=steered(
            resid_mid=_sum("ln_1", "attn_out"),
            resid_post=_sum("ln_2", "mlp_out"),
        ),
    ),
    model_bug(
        "residual-of-block-input",
        "the second residual sum starts from the block's input, so attention's output is lost",
        "strutive07/transformer-tensorflow2.0#14",
        forward=steered(resid_post=_sum("resid_pre", "mlp_out")),
    ),
    model_bug(
        "parallel-blocks",
        "the MLP reads the block's input beside attention, as in GPT-J",
        "ggml-org/ggml#139",
        forward=steered(ln_2=_normed("ln_2", "resid_pre")),
    ),
    model_bug(
        "heads-split-by-reshape",
        "heads are split off by a reshape without transposing",
        "reczoo/FuxiCTR#30",
        forward=steered(query=_split_wrongly, key=_split_wrongly, value=_split_wrongly),
    ),
    model_bug(
        "heads-merged-by-reshape",
        "heads are put together by a reshape without transposing back",
        "jsbaan/transformer-from-scratch#6",
        forward=steered(head_out=_merge_wrongly),
    ),
    model_bug(
        "dropout-in-eval",
        "dropout is left on: the same call gives other logits each time",
        "pytorch/pytorch#124464",
        forward=steered(**dict.fromkeys(RESIDUALS, _dropped)),
    ),
    model_bug(
        "dropout-scale-left-on",
        "outputs are multiplied by 1 - p though training already divided by it",
        "",
        forward=steered(**dict.fromkeys(RESIDUALS, _shrunk)),
    ),
    model_bug(
        "head-zero-only",
        "every head shows what the first one found",
        "",
        forward=steered(head_out=lambda x, layer, seen: x[:, :1].expand_as(x).clone()),
    ),
    model_bug(
        "attention-added-twice",
        "attention's output is added to the residual stream twice",
        "",
        forward=steered(resid_mid=lambda x, layer, seen: x + seen("attn_out", layer)),
    ),
)
