import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.errors import PromptError
from npgpt.model._forward import forward
from oracle.bounds._compare import excess
from oracle.strategies._tokens import batches, chunkings
from oracle.strategies._weights import build_weights
from tests.helpers.tiny_models import TinyModel, rows, tiny_models, whole_models


def in_chunks(model, tokens, mask, chunks, past=None):
    """Logits of all columns, fed in pieces, and the past at the end."""
    logits, start = [], 0
    arguments = model.arguments
    for chunk in chunks:
        part = slice(start, start + chunk)
        piece = None if mask is None else mask[:, part]
        output = forward(tokens[:, part], *arguments, past=past, mask=piece)
        logits.append(output.logits)
        past, start = output.past, start + chunk
    return np.concatenate(logits, axis=1), past


@whole_models
@given(st.data(), tiny_models())
def test_cached_in_any_chunks_is_uncached(data, model):
    row = data.draw(rows(model))
    logits, past = in_chunks(model, row[None], None, data.draw(chunkings(len(row))))
    measured = model.measure(row)
    assert excess(logits[0], measured.logits, measured.allowed()) <= 1
    assert past.length == len(row)


@whole_models
@given(st.data(), tiny_models())
def test_one_token_at_a_time_is_uncached(data, model):
    row = data.draw(rows(model))
    logits, _ = in_chunks(model, row[None], None, [1] * len(row))
    measured = model.measure(row)
    assert excess(logits[0], measured.logits, measured.allowed()) <= 1


@whole_models
@given(st.data(), tiny_models())
def test_padding_may_stand_anywhere_in_any_chunk(data, model):
    batch = data.draw(batches(model.config))
    chunks = data.draw(chunkings(batch.tokens.shape[1]))
    logits, past = in_chunks(model, batch.tokens, batch.mask, chunks)
    assert np.array_equal(past.real, batch.mask)
    for index, row in enumerate(batch.rows):
        measured = model.measure(row)
        ours = logits[index][batch.mask[index]]
        assert excess(ours, measured.logits, measured.allowed()) <= 1


@whole_models
@given(st.data(), tiny_models(n_positions=9))
def test_two_continuations_of_one_past_do_not_disturb_each_other(data, model):
    """First one goes on, then the other from the same past, then each goes on again."""
    first, second = (data.draw(rows(model, least=3)) for _ in range(2))
    shared = data.draw(st.integers(1, min(len(first), len(second)) - 2))
    second[:shared] = first[:shared]
    tokens = (first[None], second[None])
    _, past = in_chunks(model, tokens[0], None, data.draw(chunkings(shared)))
    pasts, found = [past, past], [[], []]
    for start in range(shared, max(len(first), len(second))):
        for i in data.draw(st.permutations([0, 1])):
            if start < tokens[i].shape[1]:
                output = model.run(tokens[i][:, start : start + 1], past=pasts[i])
                pasts[i] = output.past
                found[i].append(output.logits[0])
    for i, row in enumerate((first, second)):
        measured = model.measure(row)
        logits = np.concatenate(found[i])
        assert excess(logits, measured.logits[shared:], measured.allowed()) <= 1
    assert past.length == shared


@whole_models
@given(st.data(), tiny_models(n_positions=6))
def test_the_same_continuation_twice_gives_the_same_bits(data, model):
    row = data.draw(rows(model, least=2))[None]
    past = model.run(row[:, :-1]).past
    once = model.run(row[:, -1:], past=past)
    kept = once.logits.copy()
    other = (row[:, -1:] + 1) % model.config["vocab_size"]
    model.run(other, past=past)
    again = model.run(row[:, -1:], past=past)
    assert np.array_equal(again.logits, kept)
    assert np.array_equal(once.logits, kept)


@whole_models
@given(st.data(), tiny_models(n_positions=8))
def test_rows_of_the_past_can_be_dropped_reordered_and_repeated(data, model):
    batch = data.draw(batches(model.config | {"n_positions": 7}))
    picked = data.draw(st.lists(st.integers(0, len(batch.tokens) - 1), min_size=1, max_size=4))
    past = model.run(batch.tokens, mask=batch.mask).past
    new = np.full((len(picked), 1), model.config["vocab_size"] - 1)
    output = model.run(new, past=past.select(picked))
    for place, index in enumerate(picked):
        measured = model.measure(np.append(batch.rows[index], new[0]))
        last = measured.logits[-1:]
        assert excess(output.logits[place], last, measured.allowed()) <= 1
    # And the past itself is as it was.
    assert np.array_equal(past.real, batch.mask)


def test_branches_of_a_past_with_room_left_are_as_if_alone(small_model):
    """At every length, so with and without room for the next token where the past is kept."""
    trunk = np.arange(13) % 3
    past = None
    for length in range(1, len(trunk)):
        past = small_model.run(trunk[None, length - 1 : length], past=past).past
        ends = np.array([[0, 1, 2], [2, 1, 0]])
        pasts, found = [past, past], [[], []]
        for step in range(3):
            for branch in (0, 1):
                tokens = ends[branch : branch + 1, step : step + 1]
                output = small_model.run(tokens, past=pasts[branch])
                pasts[branch] = output.past
                found[branch].append(output.logits[0])
        for branch in (0, 1):
            measured = small_model.measure(np.append(trunk[:length], ends[branch]))
            logits = np.concatenate(found[branch])
            assert excess(logits, measured.logits[length:], measured.allowed()) <= 1


def test_growing_one_by_one_moves_the_past_only_now_and_then(small_model):
    steps, moves, past = 100, 0, None
    for _ in range(steps):
        before = None if past is None else past.layer(0)[0]
        past = small_model.run(np.array([[1]]), past=past).past
        moves += before is None or not np.shares_memory(before, past.layer(0)[0])
    assert moves <= 1 + math.ceil(math.log2(steps))


@pytest.fixture
def small_model():
    config = {
        "vocab_size": 3, "n_positions": 100, "n_embd": 4, "n_layer": 2, "n_head": 2,
        "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    }  # fmt: skip
    return TinyModel(config, build_weights("trained", 0, config), "float32")


def test_a_past_of_other_rows_is_refused(small_model):
    past = small_model.run(np.array([[1], [2]])).past
    with pytest.raises(PromptError, match=r"\b3\b.*\b2\b"):
        small_model.run(np.array([[1], [1], [1]]), past=past)


def test_a_refused_call_leaves_the_past_usable(small_model):
    row = np.array([[1, 2, 0, 1]])
    past = small_model.run(row[:, :3]).past
    with pytest.raises(PromptError):
        small_model.run(np.array([[7]]), past=past)
    measured = small_model.measure(row[0])
    logits = small_model.run(row[:, 3:], past=past).logits[0]
    assert excess(logits, measured.logits[3:], measured.allowed()) <= 1
