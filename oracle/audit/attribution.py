"""Direct logit attribution, by differentiating what the parts of a model add up to."""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from oracle.model import DEFAULTS, Config, Weights
from oracle.ops._layer_norm import divided
from oracle.ops._linear import linear

Seen: TypeAlias = Mapping[tuple[str, int | None], Tensor]


def attribution(
    seen: Seen, weights: Weights, config: Config, direction: Tensor
) -> dict[str, Tensor]:
    """What each part adds to ln_f · direction, with the final norm's scale held as it was.

    Then ln_f is affine in the residual stream x = Σ parts, so that ln_f · direction is the sum of
    each part times its gradient, and of what the bias adds. The gradients come of one backward
    pass, through c_proj for the heads.

    seen: a pass's token_embedding, position_embedding, ln_f_scale and each layer's head_out and
    mlp_out. direction: (embd), or anything that repeats to (batch, query, embd). Returns
    token_embedding, position_embedding and ln_f_bias (batch, query); attn_bias, mlp_bias and
    mlp_post, what the MLP adds without its bias, (layer, batch, query); head (layer, head, batch,
    query).

    Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; gradient times
    input: Ancona et al. 2018, "Towards better understanding of gradient-based attribution methods".

    >>> tiny = {"n_embd": 2, "n_layer": 0, "n_head": 1}
    >>> weights = {"ln_f.weight": torch.ones(2), "ln_f.bias": torch.tensor([0.0, 5.0])}
    >>> seen = {("token_embedding", None): torch.tensor([[[3.0, 1.0]]])}
    >>> seen |= {("position_embedding", None): torch.tensor([[[0.0, 4.0]]])}
    >>> seen |= {("ln_f_scale", None): torch.tensor([[[2.0]]])}
    >>> found = attribution(seen, weights, tiny, torch.tensor([0.0, 1.0]))
    >>> {name: part.tolist() for name, part in found.items() if part.numel()}
    {'token_embedding': [[-0.5]], 'position_embedding': [[1.0]], 'ln_f_bias': [[5.0]]}
    """
    c = {**DEFAULTS, **config}
    layers, where = range(c["n_layer"]), seen["token_embedding", None].shape[:2]
    attn, mlp = ([f"h.{i}.{name}.c_proj" for i in layers] for name in ("attn", "mlp"))
    heads = [_leaf(seen["head_out", i]) for i in layers]
    # A bias of its own for each position, so that its gradient is of that position alone.
    attn_bias = [_leaf(weights[f"{name}.bias"].expand(*where, -1)) for name in attn]
    mlp_bias = [_leaf(weights[f"{name}.bias"].expand(*where, -1)) for name in mlp]
    without = [_leaf(seen["mlp_out", i] - mlp_bias[i].detach()) for i in layers]
    streams = [_leaf(seen[f"{name}_embedding", None]) for name in ("token", "position")]
    shift = _leaf(weights["ln_f.bias"].expand(*where, -1))

    x = sum(streams + attn_bias + without + mlp_bias)
    for i in layers:
        x = x + linear(heads[i].transpose(1, 2).flatten(2), weights[f"{attn[i]}.weight"])
    normed = divided(x, seen["ln_f_scale", None], weights["ln_f.weight"], shift)
    (normed * direction).sum().backward()

    def added(leaves: list[Tensor]) -> Tensor:
        found = [_along(leaf) for leaf in leaves]
        return torch.stack(found) if found else shift.new_zeros(0, *where)

    head = [_along(leaf).transpose(0, 1) for leaf in heads]
    return {
        "token_embedding": _along(streams[0]),
        "position_embedding": _along(streams[1]),
        "head": torch.stack(head) if head else shift.new_zeros(0, c["n_head"], *where),
        "attn_bias": added(attn_bias),
        "mlp_post": added(without),
        "mlp_bias": added(mlp_bias),
        "ln_f_bias": _along(shift),
    }


def neuron_attribution(seen: Seen, weights: Weights, layer: int, direction: Tensor) -> Tensor:
    """What each neuron adds to ln_f · direction, likewise: mlp_post times its gradient.

    seen: a pass's ln_f_scale and that layer's mlp_post; returns (batch, query, inner).

    >>> weights = {"ln_f.weight": torch.ones(2), "ln_f.bias": torch.zeros(2)}
    >>> weights["h.0.mlp.c_proj.weight"] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> seen = {("mlp_post", 0): torch.tensor([[[2.0, 6.0, 9.0]]])}
    >>> seen |= {("ln_f_scale", None): torch.tensor([[[0.5]]])}
    >>> neuron_attribution(seen, weights, 0, torch.tensor([1.0, 0.0])).tolist()
    [[[2.0, -6.0, 0.0]]]
    """
    post, scale = _leaf(seen["mlp_post", layer]), seen["ln_f_scale", None]
    x = linear(post, weights[f"h.{layer}.mlp.c_proj.weight"])
    normed = divided(x, scale, weights["ln_f.weight"], weights["ln_f.bias"])
    (normed * direction).sum().backward()
    return post.detach() * post.grad


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()


def _along(leaf: Tensor) -> Tensor:
    return (leaf.detach() * leaf.grad).sum(-1)
