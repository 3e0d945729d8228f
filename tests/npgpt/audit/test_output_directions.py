import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._config import Config
from npgpt.audit import _output_directions as output_directions
from npgpt.audit._attribution import neuron_attribution
from npgpt.audit._frozen_norm import before_norm, unembedding
from npgpt.audit._output_directions import head_results, neuron_direction, top_tokens
from npgpt.errors import SettingError
from npgpt.model._parameters import from_arrays, shapes
from oracle.bounds._compare import excess
from oracle.bounds._rounding import gamma
from tests.helpers.tiny_models import whole_models
from tests.helpers.traced_models import one_traced_model, traced_models


@whole_models
@given(traced_models(n_layer=2))
def test_what_the_heads_write_and_the_bias_are_what_attention_adds(traced):
    model, _, trace = traced
    parameters, config = model.arguments
    out = trace["head_out", 1]
    proj = parameters.h[1].attn.c_proj
    found = head_results(out, parameters, 1).sum(axis=1) + proj.bias
    merged = np.abs(out.swapaxes(1, 2).reshape(found.shape))
    size = merged.astype(np.float64) @ np.abs(proj.weight) + np.abs(proj.bias)
    n = config.n_embd + 1
    allowed = (gamma(n, model.dtype) + gamma(2 * n, np.float64)) * size
    allowed += n * np.finfo(model.dtype).tiny
    assert excess(found, trace["attn_out", 1].astype(np.float64), allowed) <= 1


@whole_models
@given(st.data(), traced_models(n_layer=1))
def test_the_top_tokens_are_those_whose_logits_rise_most(data, traced):
    model, _, _ = traced
    parameters, config = model.arguments
    k = data.draw(st.integers(1, config.vocab_size))
    neuron = data.draw(st.integers(0, config.inner - 1))
    written = neuron_direction(parameters, config, 0, neuron)
    ids, logits = top_tokens(written, parameters, k=k)
    assert ids.shape == logits.shape == (k,)
    rest = np.setdiff1d(np.arange(config.vocab_size), ids)
    all_ids, all_logits = top_tokens(written, parameters, k=config.vocab_size)
    assert np.array_equal(ids, all_ids[:k])
    assert sorted(all_ids) == list(range(config.vocab_size))
    pairs = list(zip(-all_logits, all_ids, strict=True))
    assert pairs == sorted(pairs)
    assert len(rest) == config.vocab_size - k
    # The same by the direction of each token, as attribution has it.
    rows = unembedding(parameters, all_ids)
    toward = before_norm(rows, np.ones(1), parameters)
    size = np.abs(rows * parameters.ln_f.weight)
    size = (size + size.mean(axis=-1, keepdims=True)) @ np.abs(written)
    size += np.abs(rows * parameters.ln_f.weight).sum(axis=-1) * np.abs(written).mean()
    allowed = gamma(8 * config.n_embd + 8, np.float64) * size + np.finfo(np.float64).tiny
    assert excess(all_logits, toward @ written, allowed) <= 1


@whole_models
@given(st.data(), traced_models(n_layer=1))
def test_a_neurons_part_of_a_logit_is_what_it_writes_there(data, traced):
    model, tokens, trace = traced
    parameters, config = model.arguments
    neuron = data.draw(st.integers(0, config.inner - 1))
    direction = unembedding(parameters, tokens)
    each = neuron_attribution(trace, parameters, 0, direction)[..., neuron]
    written = neuron_direction(parameters, config, 0, neuron)
    toward = before_norm(direction, trace["ln_f_scale"], parameters)
    active = trace["mlp_post", 0][..., neuron].astype(np.float64)
    size = np.abs(active) * (np.abs(toward) @ np.abs(written))
    allowed = gamma(2 * config.n_embd + 4, np.float64) * size + np.finfo(np.float64).tiny
    assert excess(each, active * (toward @ written), allowed) <= 1


def test_a_head_read_in_blocks_of_rows_gives_the_same(monkeypatch):
    config = Config(vocab_size=11, n_positions=2, n_embd=4, n_head=1, n_layer=0)
    rng = np.random.default_rng(0)
    whole = {name: rng.integers(-9, 9, shape) for name, shape in shapes(config).items()}
    parameters = from_arrays({name: array.astype(float) for name, array in whole.items()}, config)
    written = rng.integers(-9, 9, (3, 4)).astype(float)
    # Whole numbers and quarters: nothing is rounded.
    expected = (written - written.mean(axis=1, keepdims=True)) * whole["ln_f.weight"]
    expected = expected @ whole["wte.weight"].T
    for rows in (1, 4, 11, 4096):
        monkeypatch.setattr(output_directions, "_ROWS", rows)
        ids, logits = top_tokens(written, parameters, k=11)
        assert np.array_equal(logits, np.take_along_axis(expected, ids, axis=1))
        assert np.array_equal(ids, np.argsort(-expected, axis=1, kind="stable"))


def test_equal_logits_come_in_order_of_id():
    parameters, config = one_traced_model()[0].arguments
    ids, logits = top_tokens(np.full(config.n_embd, 3), parameters, k=3)
    assert ids.tolist() == [0, 1, 2]  # the mean is taken away, and nothing is left
    assert not logits.any()


def test_what_is_not_there_is_a_named_error():
    model, _, _ = one_traced_model()
    parameters, config = model.arguments
    with pytest.raises(SettingError, match=f"give one of 0 to {config.inner - 1}"):
        neuron_direction(parameters, config, 0, config.inner)
    with pytest.raises(SettingError, match="layer of 'mlp_post' is 2; the model has 2"):
        neuron_direction(parameters, config, 2, 0)
    for k in (0, config.vocab_size + 1, True):
        with pytest.raises(SettingError, match=f"k is {k!r}; give 1 to {config.vocab_size}"):
            top_tokens(np.zeros(config.n_embd), parameters, k=k)
