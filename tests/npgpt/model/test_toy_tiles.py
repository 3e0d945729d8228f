"""The forms that are for large models, on toy ones: many tiles, several threads."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.model._column_major import column_major
from npgpt.model._forward import forward
from npgpt.model._parameters import to_arrays
from npgpt.trace import Recorder
from oracle.bounds._compare import excess
from oracle.strategies._tokens import batches
from tests.helpers.small_gpt import CONFIG, parameters
from tests.helpers.small_tiles import small_tiles
from tests.helpers.tiny_models import rows, tiny_models, whole_models


@whole_models
@given(st.data(), tiny_models(), st.booleans())
def test_a_padded_batch_in_tiles_is_the_oracles(data, model, turned):
    batch = data.draw(batches(model.config))
    parameters, config = model.arguments
    with small_tiles():
        parameters = column_major(parameters) if turned else parameters
        output = forward(batch.tokens, parameters, config, mask=batch.mask)
    for index, row in enumerate(batch.rows):
        measured = model.measure(row)
        found = output.logits[index][batch.mask[index]]
        assert excess(found, measured.logits, measured.allowed()) <= 1


@whole_models
@given(st.data(), tiny_models())
def test_looking_changes_not_a_bit_in_tiles(data, model):
    row = data.draw(rows(model))[None]
    with small_tiles():
        plain, seen = model.run(row), model.run(row, tap=Recorder())
    assert np.array_equal(plain.logits, seen.logits)


@whole_models
@given(tiny_models())
def test_turning_the_weights_over_keeps_every_number(model):
    parameters, _ = model.arguments
    before, after = to_arrays(parameters), to_arrays(column_major(parameters))
    assert list(before) == list(after)
    for name, array in before.items():
        assert np.array_equal(array, after[name])
        inside = name.startswith("h.") and array.ndim == 2
        assert after[name].T.flags.c_contiguous or not inside
        assert not after[name].flags.writeable


@whole_models
@given(st.data(), tiny_models(), st.integers(0, 12))
def test_the_last_hidden_states_are_those_of_the_whole(data, model, keep):
    """Of as many columns as are asked for; the cache holds all columns."""
    batch = data.draw(batches(model.config))
    part = model.run(batch.tokens, mask=batch.mask, hidden_to_keep=keep)
    width = batch.tokens.shape[1]
    kept = min(keep, width)
    assert part.hidden.shape[1] == part.logits.shape[1] == kept
    for index, row in enumerate(batch.rows):
        real = batch.mask[index, width - kept :]
        measured, count = model.measure(row), int(real.sum())
        wanted = measured.logits[len(row) - count :]
        assert excess(part.logits[index][real], wanted, measured.allowed()) <= 1
    more = batch.tokens[:, :1]
    if batch.mask.sum(axis=1).max() < model.config["n_positions"]:
        next_logits = model.run(more, past=part.past).logits
        for index, row in enumerate(batch.rows):
            measured = model.measure(np.append(row, more[index]))
            assert excess(next_logits[index], measured.logits[-1:], measured.allowed()) <= 1


@pytest.mark.parametrize("columns", [1, 5, 70])
def test_the_same_call_gives_the_same_bits(columns):
    rng = np.random.default_rng(0)
    config = dataclasses.replace(CONFIG, n_positions=80, n_embd=64, n_head=4)
    tokens = rng.integers(0, config.vocab_size, (2, columns))
    tree = parameters(config)
    with small_tiles():
        first = forward(tokens, tree, config).logits
        assert all(np.array_equal(forward(tokens, tree, config).logits, first) for _ in range(10))
