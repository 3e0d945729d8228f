"""Verification of a trace: each activation recomputed from those before it, within a bound."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from npgpt._arrays import Tokens, quiet
from npgpt._config import Config
from npgpt.audit._error_bounds import Expected, Rounding, rounding
from npgpt.audit._frozen_norm import Float64, in_float64
from npgpt.errors import SettingError
from npgpt.model._parameters import Affine, Block, Parameters
from npgpt.ops._embedding import embedding
from npgpt.trace import Key, Recorder

Checks = Iterator[tuple[str, Expected]]


def error_ratios(trace: Recorder, parameters: Parameters, config: Config) -> dict[Key, float]:
    """`|recorded − recomputed| / bound`, the largest of each activation: above 1 is wrong.

    trace: everything of one pass without a past, of rows without padding. Keys are (name, layer).
    NaN, even where NaN is recomputed, and any difference where nothing is rounded count infinity.
    """
    with quiet():
        return {
            (name, layer): _ratio(trace, name, layer, expected)
            for name, layer, expected in _expected(trace, parameters, config)
        }


def verify_pass(
    trace: Recorder, tokens: Tokens, parameters: Parameters, config: Config
) -> dict[Key, float]:
    """`error_ratios`, and the same of the embeddings, which are rows of tables: 0 or inf.

    tokens (batch, query). Raises PromptError for an unknown id.
    """
    return {**_embeddings(trace, tokens, parameters), **error_ratios(trace, parameters, config)}


def _embeddings(trace: Recorder, tokens: Tokens, parameters: Parameters) -> dict[Key, float]:
    positions = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    rows = {
        "token_embedding": embedding(tokens, parameters.wte.weight),
        "position_embedding": embedding(positions, parameters.wpe.weight),
    }
    return {
        (name, None): _ratio(trace, name, None, _exactly(in_float64(array)))
        for name, array in rows.items()
    }


def _ratio(trace: Recorder, name: str, layer: int | None, should: Expected) -> float:
    expected, allowed = should
    recorded = trace[name, layer].astype(np.float64)
    if recorded.shape != expected.shape:
        raise SettingError(
            f"{name!r} of layer {layer!r} has shape {recorded.shape}; those before it, and the "
            f"config, make it {expected.shape}: is the trace of another model?"
        )
    with quiet():
        ratio = np.abs(recorded - expected) / allowed
        ratio = np.where(recorded == expected, 0, np.where(np.isnan(ratio), np.inf, ratio))
    return float(ratio.max(initial=0))


def _expected(
    trace: Recorder, parameters: Parameters, config: Config
) -> Iterator[tuple[str, int | None, Expected]]:
    form = rounding(parameters.dtype)
    read = _sum(trace, form, ("token_embedding", None), ("position_embedding", None))
    for layer, block in enumerate(parameters.h):
        yield "resid_pre", layer, read
        for name, expected in _attention(trace, block, config, layer, form):
            yield name, layer, expected
        for name, expected in _mlp(trace, block, config, layer, form):
            yield name, layer, expected
        read = _exactly(trace["resid_post", layer].astype(np.float64))
    # The stream between the last block and the final norm has no name where there is no block.
    if config.n_layer:
        for name, expected in _norm(trace, read[0], parameters.ln_f, config, "ln_f", None, form):
            yield name, None, expected
    head = in_float64(parameters.lm_head.weight).T
    yield "logits", None, form.linear(trace["ln_f"].astype(np.float64), head)


def _attention(trace: Recorder, block: Block, config: Config, layer: int, form: Rounding) -> Checks:
    def of(name: str) -> Float64:
        return trace[name, layer].astype(np.float64)

    yield from _norm(trace, of("resid_pre"), block.ln_1, config, "ln_1", layer, form)
    batch, query, embd = of("ln_1").shape
    qkv, moved = _linear(of("ln_1"), block.attn.c_attn, form)
    split = [
        array.reshape(batch, query, 3, config.n_head, -1).transpose(2, 0, 3, 1, 4)
        for array in (qkv, moved)
    ]
    yield from zip(("query", "key", "value"), zip(*split, strict=True), strict=True)
    scale = 1 / math.sqrt(config.head_dim) if config.scale_attn_weights else 1.0
    scale /= layer + 1 if config.scale_attn_by_inverse_layer_idx else 1
    yield "scores", _scores(of("query") * scale, of("key"), form)
    yield "pattern", form.pattern(of("scores"))
    yield "head_out", form.linear(of("pattern"), of("value"))
    merged = of("head_out").swapaxes(1, 2).reshape(batch, query, embd)
    yield "attn_out", _linear(merged, block.attn.c_proj, form)
    yield "resid_mid", _sum(trace, form, ("resid_pre", layer), ("attn_out", layer))


def _mlp(trace: Recorder, block: Block, config: Config, layer: int, form: Rounding) -> Checks:
    def of(name: str) -> Float64:
        return trace[name, layer].astype(np.float64)

    yield from _norm(trace, of("resid_mid"), block.ln_2, config, "ln_2", layer, form)
    yield "mlp_pre", _linear(of("ln_2"), block.mlp.c_fc, form)
    yield "mlp_post", form.activation(config.activation_function, of("mlp_pre"))
    yield "mlp_out", _linear(of("mlp_post"), block.mlp.c_proj, form)
    yield "resid_post", _sum(trace, form, ("resid_mid", layer), ("mlp_out", layer))


def _norm(
    trace: Recorder,
    x: Float64,
    ln: Affine,
    config: Config,
    name: str,
    layer: int | None,
    form: Rounding,
) -> Checks:
    yield f"{name}_scale", form.scale(x, config.layer_norm_epsilon)
    yield name, form.normed(x, trace[f"{name}_scale", layer].astype(np.float64), ln)


def _scores(query: Float64, key: Float64, form: Rounding) -> Expected:
    keys = key.swapaxes(-1, -2)
    scores, moved = form.linear(query, keys)
    # The query is scaled, by a rounded number, before the product.
    moved = (
        moved
        + form.gamma(3) * (np.abs(query) @ np.abs(keys))
        + form.tiny * np.abs(keys).sum(-2, keepdims=True)
    )
    later = ~np.tri(scores.shape[-1], dtype=bool)
    return np.where(later, -np.inf, scores), np.where(later, 0, moved)


def _linear(x: Float64, affine: Affine, form: Rounding) -> Expected:
    return form.linear(x, in_float64(affine.weight), in_float64(affine.bias))


def _sum(trace: Recorder, form: Rounding, *keys: tuple[str, int | None]) -> Expected:
    first, second = (trace[key].astype(np.float64) for key in keys)
    return first + second, form.gamma(1) * np.abs(first + second)


def _exactly(array: Float64) -> Expected:
    return array, np.zeros_like(array)
