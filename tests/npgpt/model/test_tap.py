import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.trace import INSIDE_BLOCKS, NAMES, OUTSIDE_BLOCKS, Recorder
from oracle.bounds._compare import excess
from oracle.strategies._configs import inner_width
from oracle.strategies._tokens import chunkings
from tests.helpers.tiny_models import rows, tiny_models, whole_models


def shapes(config, batch, query, key, kept):
    """The axes that npgpt.trace states, as numbers."""
    sizes = {
        "batch": batch, "query": query, "key": key, "kept": kept, "embd": config["n_embd"],
        "head": config["n_head"], "head_dim": config["n_embd"] // config["n_head"],
        "inner": inner_width(config), "vocab": config["vocab_size"],
        "one": 1,
    }  # fmt: skip
    axes = {name: activation.axes.split() for name, activation in NAMES.items()}
    return {name: tuple(sizes[axis] for axis in named) for name, named in axes.items()}


def keys(config):
    """Each (name, layer), in the order of the forward pass."""
    outside = [(name, None) for name in OUTSIDE_BLOCKS]
    inside = [(name, layer) for layer in range(config["n_layer"]) for name in INSIDE_BLOCKS]
    return outside[:2] + inside + outside[2:]


@whole_models
@given(st.data(), tiny_models())
def test_every_name_is_seen_in_order_with_its_shape_and_dtype(data, model):
    row = data.draw(rows(model))
    chunks = data.draw(chunkings(len(row)))
    kept = data.draw(st.integers(1, len(row)))
    past, key = None, 0
    for chunk in chunks:
        recorder = Recorder()
        tokens = np.repeat(row[None, key : key + chunk], 2, axis=0)
        past = model.run(tokens, past=past, tap=recorder, logits_to_keep=kept).past
        key += chunk
        assert list(recorder.arrays) == keys(model.config)
        stated = shapes(model.config, 2, chunk, key, min(kept, chunk))
        for (name, _), array in recorder.arrays.items():
            assert array.shape == stated[name]
            assert array.dtype == model.dtype


@whole_models
@given(st.data(), tiny_models())
def test_every_activation_is_the_oracles(data, model):
    row = data.draw(rows(model))
    recorder = Recorder()
    model.run(row[None], tap=recorder)
    measured = model.measure(row)
    assert list(recorder.arrays) == list(measured.values)
    for key, expected in measured.values.items():
        assert excess(recorder.arrays[key], expected, measured.allowed(*key)) <= 1, key


@whole_models
@given(st.data(), tiny_models())
def test_looking_changes_not_a_bit(data, model):
    row = data.draw(rows(model))[None]
    plain, seen = model.run(row), model.run(row, tap=Recorder())
    assert np.array_equal(plain.logits, seen.logits)
    assert np.array_equal(plain.hidden, seen.hidden)


@pytest.mark.parametrize("name", NAMES)
@whole_models
@given(data=st.data(), model=tiny_models(n_positions=4))
def test_what_a_tap_returns_is_what_the_pass_goes_on_with(name, data, model):
    """The oracle, patched in the same place, ends with the same logits."""
    layers = range(model.config["n_layer"]) if name in INSIDE_BLOCKS else [None]
    if not layers:
        return
    layer = data.draw(st.sampled_from(layers))
    row = data.draw(rows(model))
    shape = shapes(model.config, 1, len(row), len(row), len(row))[name]
    noise = np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal(shape)
    patch = noise.astype(np.float32).astype(model.dtype)
    patch.flags.writeable = False

    def tap(seen_name, seen_layer, array):
        return patch if (seen_name, seen_layer) == (name, layer) else array

    output = model.run(row[None], tap=tap)
    measured = model.measure(row, patches={(name, layer): patch.astype(np.float64)})
    assert excess(output.logits[0], measured.logits, measured.allowed()) <= 1
