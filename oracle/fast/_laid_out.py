"""GPT-2's weights laid out for speed, and its blocks over keys and values that are held in place.

The arithmetic of `oracle.fast._inference`, which says why it is so.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from oracle import model
from oracle.ops._activation import ACTIVATIONS
from oracle.ops._attention import attention

Affine: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Layer:
    """Weight and bias of each part of a block, matrices as (out, in); the scale of its scores."""

    ln_1: Affine
    c_attn: Affine
    attn_proj: Affine
    ln_2: Affine
    c_fc: Affine
    mlp_proj: Affine
    scale: float


@dataclass(frozen=True)
class LaidOut:
    """A model's weights and what of its configuration the blocks need. head: (vocab, embd)."""

    wte: Tensor
    wpe: Tensor
    layers: tuple[Layer, ...]
    ln_f: Affine
    head: Tensor
    n_head: int
    eps: float
    upcast: bool
    activation: Callable[[Tensor], Tensor]


def lay_out(
    tensors: model.Weights, config: model.Config, *, dtype: torch.dtype, device: torch.device | str
) -> LaidOut:
    """The weights on the device, in the dtype, matrices turned to what `F.linear` streams.

    A tensor that is there already, in that dtype and layout, is not copied. Raises ValueError for a
    tensor that is missing or misshapen.
    """
    c = {**model.DEFAULTS, **config}
    model._check_weights(tensors, c)

    def held(name: str, *, turned: bool = False) -> Tensor:
        tensor = tensors[name].detach().to(device, dtype)
        return (tensor.mT if turned else tensor).contiguous()

    def affine(name: str, *, turned: bool = False) -> Affine:
        return held(f"{name}.weight", turned=turned), held(f"{name}.bias")

    def layer(i: int) -> Layer:
        return Layer(
            affine(f"h.{i}.ln_1"),
            affine(f"h.{i}.attn.c_attn", turned=True),
            affine(f"h.{i}.attn.c_proj", turned=True),
            affine(f"h.{i}.ln_2"),
            affine(f"h.{i}.mlp.c_fc", turned=True),
            affine(f"h.{i}.mlp.c_proj", turned=True),
            model._scale(c, i),
        )

    wte = held("wte.weight")
    return LaidOut(
        wte,
        held("wpe.weight"),
        tuple(map(layer, range(c["n_layer"]))),
        affine("ln_f"),
        wte if c["tie_word_embeddings"] else held("lm_head.weight"),
        c["n_head"],
        c["layer_norm_epsilon"],
        c["reorder_and_upcast_attn"],
        ACTIVATIONS[c["activation_function"]],
    )


def new_cache(laid: LaidOut, *, batch: int, columns: int) -> Tensor:
    """Zeros for keys and values: (layer, 2, batch, head, columns, head_dim)."""
    embd = laid.wte.shape[1]
    return laid.wte.new_zeros(len(laid.layers), 2, batch, laid.n_head, columns, embd // laid.n_head)


def residual(
    laid: LaidOut,
    cache: Tensor,
    tokens: Tensor,
    positions: Tensor,
    *,
    at: Tensor,
    end: int,
    look: Tensor | None,
) -> Tensor:
    """The residual stream (batch, query, embd) after all blocks, over tokens (batch, query).

    Their keys and values are written to the columns `at` (query,) of the cache. look: bool (batch,
    1, query, end), True where a column may be looked at, one at least for each query; or None,
    where the query is one column that sees all `end`, or they are the first `end` columns and each
    sees those up to itself.
    """
    x = F.embedding(tokens, laid.wte) + F.embedding(positions, laid.wpe)
    # One mask for all layers, and one to be added: fused kernels make that of a boolean one.
    bias = None if look is None else x.new_zeros(look.shape).masked_fill(~look, -math.inf)
    for layer, cached in zip(laid.layers, cache, strict=True):
        heads = F.linear(_norm(laid, layer.ln_1, x), *layer.c_attn)
        # (batch, query, 3 embd) -> three of (batch, head, query, head_dim)
        q, k, v = heads.unflatten(-1, (3, laid.n_head, -1)).permute(2, 0, 3, 1, 4)
        k, v = (
            held.index_copy_(2, at, new)[:, :, :end]
            for held, new in zip(cached, (k, v), strict=True)
        )
        out = _attention(laid, layer, (q, k, v), look, bias)
        x = x + F.linear(out.transpose(1, 2).flatten(2), *layer.attn_proj)
        inner = laid.activation(F.linear(_norm(laid, layer.ln_2, x), *layer.c_fc))
        x = x + F.linear(inner, *layer.mlp_proj)
    return x


def logits(laid: LaidOut, x: Tensor) -> Tensor:
    """The final layer norm and the head: (..., embd) -> (..., vocab)."""
    return F.linear(_norm(laid, laid.ln_f, x), laid.head)


def _attention(
    laid: LaidOut,
    layer: Layer,
    heads: tuple[Tensor, Tensor, Tensor],
    look: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    q, k, v = heads
    if laid.upcast:  # not left to the kernel, which may or may not
        return attention(q, k, v, mask=look, scale=layer.scale, upcast=True)
    causal = look is None and q.shape[2] > 1
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=bias, is_causal=causal, scale=layer.scale
    )


def _norm(laid: LaidOut, affine: Affine, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], *affine, laid.eps)
