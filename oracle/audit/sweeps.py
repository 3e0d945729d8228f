"""The same pass many times, each patched elsewhere: activation patching and causal tracing."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from oracle import model
from oracle.audit.interventions import edited, positions_axis, taken_from, together
from oracle.model import Config, Weights
from oracle.ops._attention import Tap, keep

Seen: TypeAlias = Mapping[tuple[str, int | None], Tensor]
Metric: TypeAlias = Callable[[Tensor], Tensor]  # of logits (batch, query, vocab), one number


def logit_difference(right: int, wrong: int) -> Metric:
    """The mean over rows of the last position's logit of one token less another's.

    >>> float(logit_difference(0, 2)(torch.tensor([[[5.0, 1.0, 2.0]]])))
    3.0
    """

    def metric(logits: Tensor) -> Tensor:
        weight = torch.zeros_like(logits[0, 0])
        weight[right] += 1
        weight[wrong] -= 1
        return (logits[:, -1] @ weight).mean()

    return metric


def probability(token: int) -> Metric:
    """The mean over rows of the last position's probability of a token.

    >>> float(probability(0)(torch.tensor([[[9.0, 0.0], [1.0, 1.0]]])))
    0.5
    """
    return lambda logits: (1 / (logits[:, -1] - logits[:, -1, token, None]).exp().sum(-1)).mean()


def windows(layers: int, window: int) -> list[range]:
    """For each layer the layers of a window around it; an even window has more of them below it.

    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT", and its code.

    >>> windows(4, 2), windows(3, 3)
    ([range(0, 1), range(0, 2), range(1, 3), range(2, 4)], [range(0, 2), range(0, 3), range(1, 3)])
    """
    below, above = window // 2, (window + 1) // 2
    return [range(max(at - below, 0), min(at + above, layers)) for at in range(layers)]


def patched_at(seen: Seen, name: str, layers: Sequence[int], position: int) -> Tap:
    """A tap that takes that position of an activation of these layers from another pass.

    >>> tap = patched_at({("ln_1", 3): torch.ones(1, 2, 1)}, "ln_1", [3], 1)
    >>> tap("ln_1", 3, torch.zeros(1, 2, 1)).tolist()
    [[[0.0], [1.0]]]
    """
    each = (edited(name, i, taken_from(seen[name, i]), position=position) for i in layers)
    return together(*each)


def noisy(noise: Mapping[int, Tensor]) -> Tap:
    """A tap that adds noise[position], (embd), to the token embedding: causal tracing's corruption.

    Source: Meng et al. 2022, section 2.1.

    >>> noisy({1: torch.tensor([5.0])})("token_embedding", None, torch.ones(1, 2, 1)).tolist()
    [[[1.0], [6.0]]]
    """

    def adding(vector: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda x: x + vector.to(x)

    return together(
        *(
            edited("token_embedding", None, adding(vector), position=at)
            for at, vector in noise.items()
        )
    )


def patch_positions(
    weights: Weights,
    config: Config,
    tokens: Tensor,
    seen: Seen,
    metric: Metric,
    *,
    name: str = "resid_pre",
    window: int = 1,
    before: Tap = keep,
) -> Tensor:
    """The metric with each position of each window of layers from another pass: (layer, query).

    `before` acts first: with `noisy`, and `seen` of a pass without it, this is causal tracing.

    >>> tiny = {"vocab_size": 2, "n_positions": 2, "n_embd": 2, "n_layer": 1, "n_head": 1}
    >>> weights = {name: torch.zeros(shape) for name, shape in model.shapes(tiny).items()}
    >>> weights["wte.weight"], weights["ln_f.weight"] = torch.eye(2), torch.ones(2)
    >>> seen = {("resid_pre", 0): torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])}
    >>> tokens, metric = torch.tensor([[0, 0]]), logit_difference(0, 1)
    >>> patch_positions(weights, tiny, tokens, seen, metric).round().tolist()
    [[2.0, -2.0]]
    """
    length = range(seen[name, 0].shape[positions_axis(name)])

    def one(layers: Sequence[int], position: int) -> Tensor:
        tap = together(before, patched_at(seen, name, layers, position))
        return metric(model.logits(weights, config, tokens, tap=tap))

    around = windows(config["n_layer"], window)
    return torch.stack([torch.stack([one(layers, at) for at in length]) for layers in around])


def patch_heads(
    weights: Weights,
    config: Config,
    tokens: Tensor,
    seen: Seen,
    metric: Metric,
    *,
    before: Tap = keep,
) -> Tensor:
    """The metric with the output of each head from another pass: (layer, head).

    >>> tiny = {"vocab_size": 2, "n_positions": 1, "n_embd": 2, "n_layer": 1, "n_head": 2}
    >>> weights = {name: torch.zeros(shape) for name, shape in model.shapes(tiny).items()}
    >>> weights["wte.weight"] = weights["h.0.attn.c_proj.weight"] = torch.eye(2)
    >>> weights["ln_f.weight"] = torch.ones(2)
    >>> seen = {("head_out", 0): torch.full((1, 2, 1, 1), 5.0)}
    >>> tokens, metric = torch.tensor([[0]]), logit_difference(0, 1)
    >>> patch_heads(weights, tiny, tokens, seen, metric).round().tolist()
    [[2.0, -2.0]]
    """

    def one(layer: int, head: int) -> Tensor:
        patched = edited("head_out", layer, taken_from(seen["head_out", layer]), head=head)
        return metric(model.logits(weights, config, tokens, tap=together(before, patched)))

    layers, heads = range(config["n_layer"]), range(config["n_head"])
    return torch.stack([torch.stack([one(layer, h) for h in heads]) for layer in layers])
