"""Forward pass of GPT-2, from token ids to logits.

Axes: batch (rows), query (the new positions), key (past and new positions), head, head_dim
(embd / head), embd (width of the residual stream), inner (width of the MLP), vocab.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", and its code.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, Mask, Tokens, quiet
from npgpt._config import Config
from npgpt._kernels.activation import ACTIVATIONS
from npgpt._kernels.attention import attention
from npgpt._kernels.layer_norm import layer_norm
from npgpt._kernels.linear import linear
from npgpt._kernels.upcast import upcast
from npgpt.errors import PromptError
from npgpt.model._cache import Cache, empty_cache
from npgpt.model._inputs import checked_positions, checked_tokens
from npgpt.model._parameters import MLP, Affine, Attention, Block, Embedding, Parameters
from npgpt.ops._attention import causal_mask
from npgpt.ops._embedding import embedding
from npgpt.ops._layer_norm import layer_norm_given_scale, layer_norm_scale
from npgpt.trace import Tap, discard, wants


class Output(NamedTuple):
    """What a forward pass gives.

    logits (batch, kept, vocab); hidden (batch, query, embd), the final layer norm's output, of the
    columns kept; past, the cache to go on from.
    """

    logits: Array
    hidden: Array
    past: Cache


def forward(
    tokens: Tokens,
    parameters: Parameters,
    config: Config,
    *,
    past: Cache | None = None,
    mask: Mask | None = None,
    positions: Tokens | None = None,
    logits_to_keep: int | None = None,
    hidden_to_keep: int | None = None,
    tap: Tap = discard,
) -> Output:
    """Logits for the token after each of `tokens`.

    tokens (batch, query), at least one row and one column. mask (batch, query), True where a token
    is real, default all: padding may stand on either side or between, and is not looked at.
    positions (batch, query), default the running count of real tokens, the past's included, so
    that a padded row equals the same row alone. `past` is the `past` of the call on the positions
    before these. `logits_to_keep=n` gives the logits of the last n columns only, `hidden_to_keep=n`
    their hidden states and logits: but for its keys and values, the last layer is then computed for
    those columns alone.

    Everything is computed in the dtype of the parameters. What the result holds at a padding
    position means nothing.

    Raises PromptError for tokens, mask or positions of the wrong shape or kind and for an unknown
    id, and ContextLengthError for a position past `n_positions`.
    """
    tokens, mask = checked_tokens(tokens, mask)
    batch, query = tokens.shape
    if past is None:
        past = empty_cache(config, batch, parameters.dtype)
    elif len(past.real) != batch:
        raise PromptError(f"{batch} rows of tokens cannot go on from {len(past.real)} rows of past")
    if positions is None:
        seen = past.real.sum(axis=1, keepdims=True)
        positions = np.maximum(seen + mask.cumsum(axis=1) - 1, 0)
    positions = checked_positions(positions, tokens.shape, config.n_positions)
    cache = past.extend(mask)
    visible = causal_mask(query, cache.length) & cache.real[:, None, None]  # batch, 1, query, key
    env = _Environment(config, cache, visible, tap)

    with quiet():
        x = tap("token_embedding", None, _embedded(tokens, parameters.wte, parameters.dtype))
        x = x + tap(
            "position_embedding", None, _embedded(positions, parameters.wpe, parameters.dtype)
        )
        for layer, block in enumerate(parameters.h):
            keep = hidden_to_keep if layer == config.n_layer - 1 else None
            x = _block(x, block, env, layer, keep)  # batch, query, embd
        hidden = _layer_norm(_last_columns(x, hidden_to_keep), parameters.ln_f, env, "ln_f", None)
        kept = _last_columns(hidden, logits_to_keep)
        logits = tap("logits", None, linear(kept, parameters.lm_head.weight.T, None))
    return Output(logits, hidden, cache)


@dataclass(frozen=True)
class _Environment:
    """What every layer of one forward pass is given; visible is the attention mask."""

    config: Config
    cache: Cache
    visible: Mask
    tap: Tap


def _embedded(ids: Tokens, table: Embedding, dtype: npt.DTypeLike) -> Array:
    rows = embedding(ids, table.weight)
    return rows if rows.dtype == dtype else upcast(rows, dtype)


def _last_columns(array: Array, columns: int | None) -> Array:
    """The last columns of an array (batch, query, embd), or all of them for None."""
    return array if columns is None else array[:, max(array.shape[1] - columns, 0) :]


def _block(x: Array, block: Block, env: _Environment, layer: int, keep: int | None) -> Array:
    """What the block makes of x (batch, query, embd), for its last `keep` columns, None for all."""
    tap = env.tap
    x = tap("resid_pre", layer, x)
    normed = _layer_norm(x, block.ln_1, env, "ln_1", layer)
    attn_out = tap("attn_out", layer, _attention(normed, block.attn, env, layer, keep))
    x = _last_columns(x, keep) + attn_out
    x = tap("resid_mid", layer, x)
    normed = _layer_norm(x, block.ln_2, env, "ln_2", layer)
    x = x + tap("mlp_out", layer, _mlp(normed, block.mlp, env, layer))
    return tap("resid_post", layer, x)


def _attention(x: Array, attn: Attention, env: _Environment, layer: int, keep: int | None) -> Array:
    config, tap = env.config, env.tap
    batch, query, embd = x.shape
    qkv = linear(x, attn.c_attn.weight, attn.c_attn.bias)  # batch, query, 3 * embd
    qkv = qkv.reshape(batch, query, 3, config.n_head, config.head_dim)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # batch, head, query, head_dim each
    first = 0 if keep is None else max(query - keep, 0)
    q = tap("query", layer, q[:, :, first:])
    env.cache.write(layer, tap("key", layer, k), tap("value", layer, v))
    keys, values, shared = env.cache.layer(layer)  # batch, head, key, head_dim

    scale = 1.0
    if config.scale_attn_weights:
        scale /= math.sqrt(config.head_dim)
    if config.scale_attn_by_inverse_layer_idx:
        scale /= layer + 1
    out = attention(
        q,
        keys,
        values,
        mask=env.visible[:, :, first:],
        scale=scale,
        shared=shared,
        tap=tap,
        layer=layer,
    )
    out = tap("head_out", layer, out)  # batch, head, query, head_dim
    merged = out.swapaxes(1, 2).reshape(batch, -1, embd)
    return linear(merged, attn.c_proj.weight, attn.c_proj.bias)


def _mlp(x: Array, mlp: MLP, env: _Environment, layer: int) -> Array:
    activation = ACTIVATIONS[env.config.activation_function]
    pre = env.tap("mlp_pre", layer, linear(x, mlp.c_fc.weight, mlp.c_fc.bias))
    post = env.tap("mlp_post", layer, activation(pre))  # batch, query, inner
    return linear(post, mlp.c_proj.weight, mlp.c_proj.bias)


def _layer_norm(x: Array, ln: Affine, env: _Environment, name: str, layer: int | None) -> Array:
    tap, eps = env.tap, env.config.layer_norm_epsilon
    if not wants(tap, f"{name}_scale", layer):
        return tap(name, layer, layer_norm(x, ln.weight, ln.bias, eps=eps))
    scale = tap(f"{name}_scale", layer, layer_norm_scale(x, eps=eps))
    return tap(name, layer, layer_norm_given_scale(x, scale, ln.weight, ln.bias))
