"""GPT-2 in PyTorch, written from the papers: the judge of every other implementation.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3,
over the decoder of Vaswani et al. 2017, https://arxiv.org/abs/1706.03762. Weights are a plain
dict of tensors and the configuration a plain dict, both named as Hugging Face names them. Device
and dtype are those of the weights; everything is differentiable.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from oracle.ops._activation import ACTIVATIONS as ACTIVATIONS
from oracle.ops._attention import Tap, causal_mask, keep
from oracle.ops._attention import attention as attention
from oracle.ops._embedding import embedding as embedding
from oracle.ops._layer_norm import deviation, divided
from oracle.ops._layer_norm import layer_norm as layer_norm
from oracle.ops._linear import linear as linear

__all__ = ["DEFAULTS", "Config", "Output", "Past", "Weights", "forward", "logits", "shapes"]

Weights = Mapping[str, Tensor]
Config = Mapping[str, Any]

DEFAULTS: dict[str, Any] = {
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Past:
    """What attention needs of earlier tokens; a value, never changed once made.

    keys, values: one (batch, head, key, head_dim) a layer; mask: bool (batch, key), True = real.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    mask: Tensor


@dataclass(frozen=True)
class Output:
    """logits: (batch, query, vocab); hidden: (batch, query, embd), after ln_f; past: all so far."""

    logits: Tensor
    hidden: Tensor
    past: Past


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a model.

    >>> shapes({"n_embd": 8, "n_layer": 1})["h.0.attn.c_attn.weight"]
    (8, 24)
    """
    c = {**DEFAULTS, **config}
    embd, inner = c["n_embd"], c["n_inner"] or 4 * c["n_embd"]
    maps: dict[str, tuple[int, int]] = {
        "attn.c_attn": (embd, 3 * embd),
        "attn.c_proj": (embd, embd),
        "mlp.c_fc": (embd, inner),
        "mlp.c_proj": (inner, embd),
    }
    found: dict[str, tuple[int, ...]] = {
        "wte.weight": (c["vocab_size"], embd),
        "wpe.weight": (c["n_positions"], embd),
    }
    for i in range(c["n_layer"]):
        found |= {f"h.{i}.{n}.{p}": (embd,) for n in ("ln_1", "ln_2") for p in ("weight", "bias")}
        for name, (rows, columns) in maps.items():
            found[f"h.{i}.{name}.weight"] = (rows, columns)
            found[f"h.{i}.{name}.bias"] = (columns,)
    found |= {"ln_f.weight": (embd,), "ln_f.bias": (embd,)}
    if not c["tie_word_embeddings"]:
        found["lm_head.weight"] = (c["vocab_size"], embd)
    return found


def logits(weights: Weights, config: Config, tokens: Tensor, **options: Any) -> Tensor:
    """The logits of `forward`, which takes the same options: (batch, query, vocab)."""
    return forward(weights, config, tokens, **options).logits


def forward(
    weights: Weights,
    config: Config,
    tokens: Tensor,
    *,
    mask: Tensor | None = None,
    positions: Tensor | None = None,
    past: Past | None = None,
    tap: Tap | None = None,
) -> Output:
    """Run the model over tokens, integers (batch, query), each given what comes before it.

    mask: bool (batch, query), True where a token is real; padding may be anywhere, and nothing
    looks at it. positions: integers (batch, query); by default the count of real tokens so far,
    less one, and 0 before the first. past: the `Output.past` of an earlier call, whose tokens come
    before these. tap: called as tap(name, layer, tensor) with each activation; the pass goes on
    with what it returns (so a tap can also be training's dropout). Raises ValueError for a tensor
    that is missing or misshapen, for a token or a position that the tables lack, and for shapes
    that do not fit.

    >>> tiny = {"vocab_size": 3, "n_positions": 4, "n_embd": 8, "n_layer": 1, "n_head": 2}
    >>> weights = {name: torch.zeros(shape) for name, shape in shapes(tiny).items()}
    >>> forward(weights, tiny, torch.tensor([[1, 2, 0]])).logits.shape
    torch.Size([1, 3, 3])
    """
    c = {**DEFAULTS, **config}
    tap = tap or keep
    _check_weights(weights, c)
    _check_shapes(tokens, mask, positions)
    new = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    mask = new if past is None else torch.cat([past.mask, new], 1)
    query, key = tokens.shape[1], mask.shape[1]
    if positions is None:
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, key - query :]
    _check_positions(positions, c["n_positions"])
    # (batch, 1, query, key): a key must be real, and not after the query.
    may_look = (causal_mask(query, key, device=tokens.device) & mask[:, None, :])[:, None]
    x = tap("token_embedding", None, embedding(tokens, weights["wte.weight"]))
    x = x + tap("position_embedding", None, embedding(positions, weights["wpe.weight"]))
    keys, values = [], []
    for i in range(c["n_layer"]):
        old = None if past is None else (past.keys[i], past.values[i])
        x, k, v = _block(weights, c, i, x, may_look, old, tap)
        keys.append(k)
        values.append(v)
    x = tap("ln_f", None, _norm(weights, c, "ln_f", x, tap))
    head = weights["wte.weight" if c["tie_word_embeddings"] else "lm_head.weight"]
    found = tap("logits", None, linear(x, head.mT))
    return Output(found, x, Past(tuple(keys), tuple(values), mask))


def _block(
    weights: Weights,
    c: Config,
    i: int,
    x: Tensor,
    may_look: Tensor,
    old: tuple[Tensor, Tensor] | None,
    tap: Tap,
) -> tuple[Tensor, Tensor, Tensor]:
    """One transformer block: the residual stream after it, and all keys and values so far."""
    x = tap("resid_pre", i, x)
    normed = tap("ln_1", i, _norm(weights, c, f"h.{i}.ln_1", x, tap, i))
    heads = _map(weights, f"h.{i}.attn.c_attn", normed)
    # (batch, query, 3 embd) -> three of (batch, head, query, head_dim)
    heads = heads.unflatten(-1, (3, c["n_head"], -1)).permute(2, 0, 3, 1, 4)
    q, k, v = (tap(n, i, h) for n, h in zip(("query", "key", "value"), heads, strict=True))
    if old is not None:
        k, v = torch.cat([old[0], k], 2), torch.cat([old[1], v], 2)
    out = attention(
        q,
        k,
        v,
        mask=may_look,
        scale=_scale(c, i),
        upcast=c["reorder_and_upcast_attn"],
        tap=None if tap is keep else tap,
        layer=i,
    )
    out = _map(weights, f"h.{i}.attn.c_proj", out.transpose(1, 2).flatten(2))
    x = tap("resid_mid", i, x + tap("attn_out", i, out))
    normed = tap("ln_2", i, _norm(weights, c, f"h.{i}.ln_2", x, tap, i))
    out = _map(weights, f"h.{i}.mlp.c_fc", normed)
    out = ACTIVATIONS[c["activation_function"]](tap("mlp_pre", i, out))
    out = _map(weights, f"h.{i}.mlp.c_proj", tap("mlp_post", i, out))
    return tap("resid_post", i, x + tap("mlp_out", i, out)), k, v


def _scale(c: Config, i: int) -> float:
    scale = 1 / math.sqrt(c["n_embd"] // c["n_head"]) if c["scale_attn_weights"] else 1.0
    return scale / (i + 1) if c["scale_attn_by_inverse_layer_idx"] else scale


def _map(weights: Weights, name: str, x: Tensor) -> Tensor:
    return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(
    weights: Weights, c: Config, name: str, x: Tensor, tap: Tap = keep, i: int | None = None
) -> Tensor:
    """That layer norm of x; what it divides by passes through the tap, of layer i, first."""
    eps, affine = c["layer_norm_epsilon"], (weights[f"{name}.weight"], weights[f"{name}.bias"])
    if tap is not keep:
        scale = deviation(x, eps=eps)
        given = tap(name.rpartition(".")[2] + "_scale", i, scale)
        if given is not scale:
            return divided(x, given, *affine)
    return layer_norm(x, *affine, eps=eps)


def _check_weights(weights: Weights, c: Config) -> None:
    for name, shape in shapes(c).items():
        if name not in weights:
            raise ValueError(f"the tensor {name} is missing; it has shape {shape}")
        if weights[name].shape != shape:
            found = tuple(weights[name].shape)
            raise ValueError(f"the tensor {name} has shape {found}; expected {shape}")


def _check_shapes(tokens: Tensor, mask: Tensor | None, positions: Tensor | None) -> None:
    if tokens.ndim != 2:
        raise ValueError(f"tokens have shape {tuple(tokens.shape)}; expected (batch, query)")
    for name, given in (("mask", mask), ("positions", positions)):
        if given is not None and given.shape != tokens.shape:
            raise ValueError(
                f"{name} has shape {tuple(given.shape)}; expected that of tokens, "
                f"{tuple(tokens.shape)}"
            )


def _check_positions(positions: Tensor, limit: int) -> None:
    if positions.is_meta or not positions.numel():
        return
    low, high = (int(p) for p in positions.aminmax())
    if low < 0 or high >= limit:
        raise ValueError(
            f"position {low if low < 0 else high} is outside 0..{limit - 1}; "
            f"give at most n_positions = {limit} tokens"
        )
