import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.audit._attribution import ATTRIBUTION_NAMES, attribute, neuron_attribution
from npgpt.audit._frozen_norm import unembedding
from npgpt.errors import PromptError, SettingError
from npgpt.trace import Recorder
from oracle.bounds._compare import excess
from oracle.bounds._rounding import gamma
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import one_traced_model, traced_models

PARTS = [
    "token_embedding", "position_embedding", "head", "attn_bias", "mlp_post", "mlp_bias",
    "ln_f_bias",
]  # fmt: skip


def wide(array):
    return array.astype(np.float64)


def over_embd(array):
    return array.sum(axis=-1)


def pass_error(trace, parameters, config, direction, dtype):
    """How far rounding may move a logit from the sum of the parts of the arrays recorded."""
    embd, tiny = config.n_embd, float(np.finfo(dtype).tiny)
    u, n = gamma(1, dtype), gamma(embd + 1, dtype)
    x = wide(trace["token_embedding"]) + trace["position_embedding"]
    moved = u * np.abs(x)  # of the residual stream against the sum of what is written to it
    for layer, block in enumerate(parameters.h):
        heads = trace["head_out", layer]
        merged = np.abs(wide(heads)).swapaxes(1, 2).reshape(x.shape)
        proj = block.attn.c_proj
        moved += n * (merged @ np.abs(wide(proj.weight)) + np.abs(proj.bias)) + embd * tiny
        x = wide(trace["resid_post", layer])
        moved += u * (np.abs(trace["resid_mid", layer]) + np.abs(x))
    mean = np.abs(x).mean(axis=-1, keepdims=True)
    # Taking the mean away rounds; then three steps of the norm round what it makes of that.
    centred = moved + moved.mean(axis=-1, keepdims=True) + 2 * n * mean + u * np.abs(x) + 2 * tiny
    weight = np.abs(wide(parameters.ln_f.weight)) / trace["ln_f_scale"]
    bias = np.abs(wide(parameters.ln_f.bias))
    normed = weight * (centred + tiny) + gamma(4, dtype) * (weight * (np.abs(x) + mean) + bias)
    of_head = n * np.abs(wide(trace["ln_f"])) + tiny
    # Twice, for what these errors make of one another.
    return 2 * over_embd((normed + of_head + tiny) * np.abs(direction)) + embd * tiny


def own_error(trace, parameters, config, direction):
    """How far float64 may move the sum of the parts: each is a few sums of at most embd terms."""
    weight = np.abs(wide(parameters.ln_f.weight)) / trace["ln_f_scale"]
    toward = np.abs(direction) * weight
    toward = toward + toward.mean(axis=-1, keepdims=True)
    size = np.abs(wide(trace["token_embedding"])) + np.abs(trace["position_embedding"])
    for layer, block in enumerate(parameters.h):
        merged = np.abs(wide(trace["head_out", layer])).swapaxes(1, 2).reshape(size.shape)
        size += merged @ np.abs(wide(block.attn.c_proj.weight)) + np.abs(block.attn.c_proj.bias)
        size += np.abs(trace["mlp_out", layer]) + 2 * np.abs(block.mlp.c_proj.bias)
    parts = 3 + config.n_layer * (config.n_head + 3)
    total = over_embd(size * toward) + over_embd(np.abs(direction * parameters.ln_f.bias))
    return gamma(3 * config.n_embd + 12 + parts, np.float64) * total + np.finfo(np.float64).tiny


@whole_models
@given(st.data(), traced_models())
def test_the_parts_sum_to_the_logit(data, traced):
    model, tokens, trace = traced
    parameters, config = model.arguments
    targets = data.draw(st.integers(0, config.vocab_size - 1)) + tokens
    targets %= config.vocab_size
    direction = unembedding(parameters, targets)
    found = attribute(trace, parameters, config, direction)
    allowed = pass_error(trace, parameters, config, direction, model.dtype)
    allowed += own_error(trace, parameters, config, direction)
    logits = np.take_along_axis(trace["logits"], targets[..., None], axis=-1)[..., 0]
    assert excess(found.total, wide(logits), allowed) <= 1


@whole_models
@given(st.data(), traced_models())
def test_the_parts_are_linear_in_the_direction(data, traced):
    model, tokens, trace = traced
    parameters, config = model.arguments
    ids = data.draw(st.tuples(*[st.integers(0, config.vocab_size - 1)] * 2))
    one, other = (unembedding(parameters, np.full(tokens.shape, token)) for token in ids)
    found, second, both, twice = (
        attribute(trace, parameters, config, d) for d in (one, other, one + other, 2 * one)
    )
    size = np.abs(one) + np.abs(other)
    allowed = 3 * own_error(trace, parameters, config, size)  # each of the three is so far off
    for part in PARTS:
        first = getattr(found, part)
        assert np.array_equal(getattr(twice, part), 2 * first)  # doubling rounds nothing
        assert excess(getattr(both, part), first + getattr(second, part), allowed) <= 1


@whole_models
@given(traced_models(n_layer=1))
def test_the_neurons_sum_to_their_mlp(traced):
    model, tokens, trace = traced
    parameters, config = model.arguments
    direction = unembedding(parameters, tokens)
    each = neuron_attribution(trace, parameters, 0, direction)
    assert each.shape == trace["mlp_post", 0].shape
    found = attribute(trace, parameters, config, direction).mlp_post[0]
    # The pass rounded mlp_out, as a product and a bias; the rest is in float64.
    weight = np.abs(wide(parameters.h[0].mlp.c_proj.weight))
    bias = np.abs(wide(parameters.h[0].mlp.c_proj.bias))
    size = np.abs(wide(trace["mlp_post", 0])) @ weight + bias
    moved = gamma(config.inner + 1, model.dtype) * size
    moved += gamma(4 * config.n_embd + config.inner + 12, np.float64) * (size + bias)
    moved += config.inner * np.finfo(model.dtype).tiny
    toward = np.abs(direction) * np.abs(wide(parameters.ln_f.weight)) / trace["ln_f_scale"]
    toward += toward.mean(axis=-1, keepdims=True)
    allowed = 2 * over_embd(moved * toward) + np.finfo(np.float64).tiny
    assert excess(over_embd(each), found, allowed) <= 1


def test_a_part_that_is_zero_adds_nothing_and_the_others_stay():
    model, tokens, trace = one_traced_model()
    parameters, config = model.arguments
    direction = unembedding(parameters, tokens)
    whole = attribute(trace, parameters, config, direction)
    arrays = dict(trace.arrays)
    arrays["head_out", 1] = arrays["head_out", 1].copy()
    arrays["head_out", 1][:, 0] = 0
    without = attribute(Recorder(arrays=arrays), parameters, config, direction)
    assert not without.head[1, 0].any()
    expected = whole.head.copy()
    expected[1, 0] = 0
    assert np.array_equal(without.head, expected)
    for part in dataclasses.fields(whole):
        if part.name != "head":
            assert np.array_equal(getattr(without, part.name), getattr(whole, part.name))


def test_what_is_recorded_is_enough_and_what_is_missing_is_named():
    model, tokens, trace = one_traced_model()
    parameters, config = model.arguments
    few = Recorder(ATTRIBUTION_NAMES)
    model.run(tokens, tap=few)
    direction = unembedding(parameters, tokens)
    found, same = (attribute(t, parameters, config, direction) for t in (trace, few))
    assert np.array_equal(found.total, same.total)
    del few.arrays["mlp_out", 0]
    with pytest.raises(SettingError, match="layer of 'mlp_out' is 0; it was recorded of 1"):
        attribute(few, parameters, config, direction)
    last = Recorder()
    model.run(tokens, tap=last, hidden_to_keep=1)
    with pytest.raises(SettingError, match="the final norm was recorded of 1 positions"):
        attribute(last, parameters, config, direction)
    with pytest.raises(PromptError, match=f"give ids of 0 to {config.vocab_size - 1}"):
        unembedding(parameters, np.array([config.vocab_size]))
