"""Every reading of npgpt/audit and its twin in oracle/audit, which computes it in another way.

Both are in float64 where nothing else is said, and both round: what is allowed counts the roundings
of each side, twice.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.audit import (
    _attention_summary as attention_summary,
)
from npgpt.audit import (
    _attribution as attribution,
)
from npgpt.audit import (
    _logit_lens as logit_lens,
)
from npgpt.audit import (
    _output_directions as output_directions,
)
from npgpt.audit import (
    _token_surprisal as token_surprisal,
)
from npgpt.audit import (
    sweeps,
)
from npgpt.audit._frozen_norm import unembedding
from oracle.audit import attention_summary as attention_twin
from oracle.audit import attribution as attribution_twin
from oracle.audit import logit_lens as logit_lens_twin
from oracle.audit import output_directions as directions_twin
from oracle.audit import sweeps as sweeps_twin
from oracle.audit import token_surprisal as surprisal_twin
from oracle.bounds._compare import excess
from oracle.bounds._layer_norm import layer_norm as norm_bound
from oracle.bounds._linear import linear as linear_bound
from oracle.bounds._rounding import format_of, gamma
from oracle.bounds._softmax import log_softmax as log_softmax_bound
from oracle.bounds._softmax import softmax as softmax_bound
from oracle.ops._layer_norm import layer_norm
from oracle.strategies._arrays import MAX_SEED
from tests.helpers.oracle_inputs import numbers, size, tensor, tensors, weights_of
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import traced_models

LEAST = format_of("float64").normal


def seen_by(model, name, layer=None):
    weight = model.weights[name if layer is None else f"h.{layer}.{name}"]
    return weight.astype(np.float64)


def toward(model, trace, direction):
    """The magnitudes that make up ∂(ln_f · direction)/∂x: (batch, query, embd)."""
    scaled = np.abs(direction * seen_by(model, "ln_f.weight")) / trace["ln_f_scale"]
    return scaled + scaled.mean(axis=-1, keepdims=True)


def read_back(reach, weight):
    """The same before a map to the residual stream."""
    return reach @ np.abs(weight).T


@whole_models
@given(st.data(), traced_models())
def test_logit_lens(data, traced):
    """In the model's dtype: the error of the norm goes through the head, and the head rounds."""
    model, _, trace = traced
    parameters, config = model.arguments
    _, residual = data.draw(st.sampled_from(logit_lens.depths(trace, config)))
    found = logit_lens.lens_logits(residual, parameters, config)
    assert found.dtype == model.dtype
    expected = logit_lens_twin.logit_lens(tensor(residual), weights_of(model), model.config)
    head = np.abs(numbers(tensor(parameters.lm_head.weight))).T
    affine, eps = (parameters.ln_f.weight, parameters.ln_f.bias), config.layer_norm_epsilon
    normed = numbers(layer_norm(tensor(residual), *map(tensor, affine), eps=eps))
    allowed = 0
    for dtype in (model.dtype, "float64"):
        off = norm_bound(residual, *affine, eps=eps, dtype=dtype)
        with np.errstate(invalid="ignore"):  # where nothing is promised
            moved = off @ head + linear_bound(np.abs(normed) + off, head, None, dtype=dtype)
        allowed = allowed + np.where(np.isnan(moved), np.inf, moved)
    assert excess(found, numbers(expected), allowed) <= 1


@whole_models
@given(traced_models())
def test_the_depths_are_the_streams_of_a_model_that_stops_there(traced):
    """The lens of each depth: the run in which all later blocks add nothing."""
    model, tokens, trace = traced
    parameters, config = model.arguments
    for depth, (name, residual) in enumerate(logit_lens.depths(trace, config)):
        streams = ["token_embedding + position_embedding"]
        if config.n_layer:
            streams = [f"resid_pre {i}" for i in range(config.n_layer)]
            streams.append(f"resid_post {config.n_layer - 1}")
        assert name == streams[depth]

        def stop(name, layer, array, depth=depth):
            silent = name in ("attn_out", "mlp_out") and layer >= depth
            return np.zeros_like(array) if silent else array

        found = logit_lens.lens_logits(residual, parameters, config)
        assert np.array_equal(found, model.run(tokens, tap=stop).logits)


@whole_models
@given(st.data(), traced_models())
def test_attribution(data, traced):
    model, tokens, trace = traced
    parameters, config = model.arguments
    targets = (data.draw(st.integers(0, 16)) + tokens) % config.vocab_size
    direction = unembedding(parameters, targets)
    found = attribution.attribute(trace, parameters, config, direction)
    expected = attribution_twin.attribution(
        tensors(trace), weights_of(model), model.config, tensor(direction)
    )
    reach, layers = toward(model, trace, direction), range(config.n_layer)
    bias = {name: [size(seen_by(model, f"{name}.c_proj.bias", i)) for i in layers] for name in
            ("attn", "mlp")}  # fmt: skip
    of_heads = []
    for i in layers:
        back = read_back(reach, seen_by(model, "attn.c_proj.weight", i))
        back = back.reshape(*tokens.shape, config.n_head, -1).transpose(2, 0, 1, 3)
        of_heads.append((size(trace["head_out", i]).swapaxes(0, 1) * back).sum(axis=-1))
    sizes = {
        "token_embedding": (size(trace["token_embedding"]) * reach).sum(axis=-1),
        "position_embedding": (size(trace["position_embedding"]) * reach).sum(axis=-1),
        "head": np.reshape(of_heads, found.head.shape),
        "attn_bias": [(b * reach).sum(axis=-1) for b in bias["attn"]],
        "mlp_post": [
            ((size(trace["mlp_out", i]) + bias["mlp"][i]) * reach).sum(-1) for i in layers
        ],
        "mlp_bias": [(b * reach).sum(axis=-1) for b in bias["mlp"]],
        "ln_f_bias": np.abs(direction * seen_by(model, "ln_f.bias")).sum(axis=-1),
    }
    assert sizes.keys() == expected.keys()
    # Three sums of embd terms at most, the dot, the mean and c_proj, and what is between them.
    roundings = gamma(2 * (3 * config.n_embd + 8), "float64")
    for part, value in expected.items():
        allowed = roundings * np.reshape(sizes[part], value.shape) + LEAST
        assert excess(getattr(found, part), numbers(value), allowed) <= 1, part


@whole_models
@given(st.data(), traced_models())
def test_attribution_is_linear(data, traced):
    """attribute(a d + b e) = a attribute(d) + b attribute(e), part by part."""
    model, tokens, trace = traced
    parameters, config = model.arguments
    rng = np.random.default_rng(data.draw(st.integers(0, MAX_SEED)))
    a, b = data.draw(st.tuples(*[st.integers(-4, 4).map(lambda n: n / 4)] * 2))
    d, e = rng.standard_normal((2, *tokens.shape, config.n_embd))
    one, other, both = (
        attribution.attribute(trace, parameters, config, direction)
        for direction in (d, e, a * d + b * e)
    )
    widest = np.abs(a * d) + np.abs(b * e)
    reach = toward(model, trace, widest)
    largest = size(trace["token_embedding"]) + size(trace["position_embedding"])
    bias = np.abs(widest * seen_by(model, "ln_f.bias")).sum(axis=-1)
    for i in range(config.n_layer):
        merged = size(trace["head_out", i]).swapaxes(1, 2).reshape(largest.shape)
        largest += merged @ size(seen_by(model, "attn.c_proj.weight", i)) + size(
            trace["mlp_out", i]
        )
        for name in ("attn", "mlp"):
            largest += size(seen_by(model, f"{name}.c_proj.bias", i))
    allowed = (largest * reach).sum(axis=-1) + bias
    # Each of the three as in test_attribution; and the directions' own sum.
    allowed = gamma(3 * (3 * config.n_embd + 8) + 3, "float64") * allowed + LEAST
    for part in ("token_embedding", "position_embedding", "head", "attn_bias", "mlp_post",
                 "mlp_bias", "ln_f_bias"):  # fmt: skip
        expected = a * getattr(one, part) + b * getattr(other, part)
        assert excess(getattr(both, part), expected, allowed) <= 1, part


@whole_models
@given(traced_models(n_layer=2))
def test_neurons(traced):
    model, tokens, trace = traced
    parameters, _ = model.arguments
    direction = unembedding(parameters, tokens)
    found = attribution.neuron_attribution(trace, parameters, 1, direction)
    seen = tensors(trace)
    expected = attribution_twin.neuron_attribution(seen, weights_of(model), 1, tensor(direction))
    embd = direction.shape[-1]
    back = read_back(toward(model, trace, direction), seen_by(model, "mlp.c_proj.weight", 1))
    allowed = gamma(2 * (2 * embd + 8), "float64") * size(trace["mlp_post", 1]) * back + LEAST
    assert excess(found, numbers(expected), allowed) <= 1


@whole_models
@given(st.data(), traced_models(n_layer=1, max_vocab=4, max_positions=9))
def test_attention_summaries(data, traced):
    """Also of the last queries only, as with a cache."""
    _, tokens, trace = traced
    last = data.draw(st.integers(1, tokens.shape[1]))
    pattern = trace["pattern", 0][:, :, -last:]
    twin, key = tensor(pattern), pattern.shape[-1]
    exact = {
        name: getattr(attention_summary, name)
        for name in ("attention_to_first", "attention_to_previous")
    }
    for name, reading in exact.items():
        expected = numbers(getattr(attention_twin, name)(twin))
        assert np.array_equal(reading(pattern), expected, equal_nan=True), name
    expected = numbers(attention_twin.attention_entropy(twin))
    p = pattern.astype(np.float64)
    terms = np.abs(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)
    allowed = 2 * (gamma(key + 2, "float64") + format_of("float64").library) * terms + LEAST
    assert excess(attention_summary.attention_entropy(pattern), expected, allowed) <= 1
    found = attention_summary.induction_score(pattern, tokens)
    expected = numbers(attention_twin.induction_score(twin, tensor(tokens)))
    # Of no negative number, so all errors are relative: two sums and a quotient.
    allowed = 2 * gamma(key + last + 2, "float64") * np.nan_to_num(expected)
    assert excess(found, expected, allowed + LEAST) <= 1


@given(st.data())
def test_surprisal_and_rank_with_equal_logits(data):
    rng = np.random.default_rng(data.draw(st.integers(0, MAX_SEED)))
    batch, n, vocab = data.draw(st.tuples(*[st.integers(1, 6)] * 3))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    logits = rng.integers(-3, 4, (batch, n, vocab)).astype(dtype)
    logits *= data.draw(st.sampled_from([0.1, 1.0, 30.0]))
    tokens = rng.integers(0, vocab, (batch, n))
    given_both = (logits, tokens), (tensor(logits), tensor(tokens))
    assert np.array_equal(
        token_surprisal.rank(*given_both[0]), numbers(surprisal_twin.rank(*given_both[1]))
    )
    off = log_softmax_bound(logits[:, :-1], dtype="float64")
    allowed = 2 * np.take_along_axis(off, tokens[:, 1:, None], axis=-1)[..., 0]
    expected = numbers(surprisal_twin.surprisal(*given_both[1]))
    assert excess(token_surprisal.surprisal(*given_both[0]), expected, allowed) <= 1


@whole_models
@given(traced_models(n_layer=2))
def test_head_results(traced):
    model, _, trace = traced
    parameters, config = model.arguments
    out = trace["head_out", 1]
    found = output_directions.head_results(out, parameters, 1)
    expected = directions_twin.head_results(tensor(out), weights_of(model), 1)
    weight = size(seen_by(model, "attn.c_proj.weight", 1))
    largest = size(out) @ weight.reshape(config.n_head, -1, config.n_embd)
    allowed = gamma(2 * config.n_embd, "float64") * largest + LEAST
    assert excess(found, numbers(expected), allowed) <= 1


@whole_models
@given(st.data(), traced_models(n_layer=2))
def test_neuron_writes_and_top_tokens(data, traced):
    model, _, _ = traced
    parameters, config = model.arguments
    neuron = data.draw(st.integers(0, config.inner - 1))
    written = output_directions.neuron_direction(parameters, config, 1, neuron)
    weights = weights_of(model)
    assert np.array_equal(written, numbers(directions_twin.neuron_direction(weights, 1, neuron)))
    k = data.draw(st.integers(1, config.vocab_size))
    ids, logits = output_directions.top_tokens(written, parameters, k=k)
    _, expected = directions_twin.top_tokens(tensor(written), weights, model.config, k=k)
    every = numbers(directions_twin.logits_of(tensor(written), weights, model.config))
    gain, head = size(parameters.ln_f.weight), size(parameters.lm_head.weight)
    each = ((size(written) + size(written).mean()) * gain) @ head.T
    roundings = gamma(2 * (2 * config.n_embd + 4), "float64")
    # The k-th largest moves no more than the number that moves most.
    assert excess(logits, numbers(expected), roundings * each.max() + LEAST) <= 1
    assert excess(logits, every[ids], roundings * each[ids] + LEAST) <= 1
    assert len(set(ids.tolist())) == k


@given(st.data())
def test_metrics(data):
    rng = np.random.default_rng(data.draw(st.integers(0, MAX_SEED)))
    batch, query, vocab = data.draw(st.tuples(*[st.integers(1, 5)] * 3))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    logits = rng.standard_normal((batch, query, vocab)).astype(dtype)
    right, wrong = rng.integers(0, vocab, 2)
    last, twin = logits[:, -1], tensor(logits)
    found = np.array(sweeps.logit_difference(right, wrong)(logits))
    expected = numbers(sweeps_twin.logit_difference(right, wrong)(twin))
    off = np.abs(last[:, [right, wrong]]).astype(np.float64).sum(axis=1).mean()
    allowed = (gamma(batch + 2, dtype) + gamma(vocab + batch + 2, "float64")) * off
    assert excess(found, expected, allowed) <= 1
    found = np.array(sweeps.probability(right)(logits))
    expected = numbers(sweeps_twin.probability(right)(twin))
    # The twin's softmax is shifted by the token's logit, not by the largest: as far off as if it
    # were the largest, each exponential being as wrong.
    shifted = np.concatenate([last - last[:, [right]], np.zeros((batch, 1))], axis=1)
    allowed = 2 * softmax_bound(last, dtype="float64")[:, right].mean()
    allowed += softmax_bound(shifted, dtype="float64")[:, -1].mean() + gamma(2 * batch, "float64")
    assert excess(found, expected, allowed) <= 1
