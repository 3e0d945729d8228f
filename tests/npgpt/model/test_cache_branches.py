"""What branches of a cache share, what is copied, and what dropping leaves."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.errors import SettingError
from npgpt.trace import Recorder
from oracle.bounds._compare import excess
from oracle.strategies._weights import build_weights
from tests.helpers.tiny_models import TinyModel, rows, tiny_models, whole_models


@pytest.fixture
def model():
    config = {
        "vocab_size": 5, "n_positions": 400, "n_embd": 64, "n_layer": 2, "n_head": 2,
        "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    }  # fmt: skip
    return TinyModel(config, build_weights("trained", 0, config), "float32")


def read(model, *lengths, past=None):
    """The past of rows of that many tokens, padded on the left."""
    mask = np.arange(max(lengths))[::-1] < np.array(lengths)[:, None]
    tokens = np.random.default_rng(0).integers(0, 5, mask.shape)
    return model.run(tokens, mask=mask, past=past).past


def bytes_taken(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def arrays(past):
    """Copies of all that a cache holds."""
    layers = [past.layer(index) for index in range(2)]
    shared = [array for *_, held in layers if held is not None for array in held]
    own = [array for keys, values, _ in layers for array in (keys, values)]
    return [array.copy() for array in (past.real, *own, *shared)]


def test_beams_share_the_prompts_keys_and_values_and_no_select_copies_them(model):
    prompts = read(model, 300, 200)
    past, chosen = prompts, [0, 0, 0, 1, 1, 1]
    for source in ([0, 0, 0, 1, 1, 1], [1, 0, 0, 1, 0, 1], [0, 1]):
        size = bytes_taken(lambda past=past, chosen=chosen: past.select(chosen))
        assert size < prompts.layer(0)[0].nbytes / 2
        past = past.select(chosen)
        past = model.run(np.zeros((len(chosen), 1), int), past=past).past
        for index in range(2):
            keys, values, _ = prompts.layer(index)
            _, _, shared = past.layer(index)
            assert np.shares_memory(shared.key, keys)
            assert np.shares_memory(shared.value, values)
            assert shared.key.shape == keys.shape
            assert shared.source.tolist() == source
        chosen = [5, 0, 1, 4, 2, 3] if len(source) == 6 and source[0] == 0 else [2, 3]
    assert past.length == 303
    assert past.layer(0)[0].shape[2] == 3


def test_reading_one_more_token_for_many_beams_copies_no_prompt(model):
    prompt = read(model, 300)
    past = prompt.select([0] * 40)
    token = np.zeros((40, 1), int)
    size = bytes_taken(lambda: model.run(token, past=past))
    assert size < 40 * prompt.layer(0)[0].nbytes / 2


def test_what_beams_read_is_their_own(model):
    past = model.run(np.array([[1], [2]]), past=read(model, 4).select([0, 0])).past
    beams = past.select([1, 1, 0])
    for index in range(2):
        for ours, theirs in zip(beams.layer(index)[:2], past.layer(index)[:2], strict=True):
            assert np.array_equal(ours, theirs[[1, 1, 0]])
            assert not np.shares_memory(ours, theirs)


@pytest.mark.parametrize("chosen", [[0, 1, 2], (0, 1, 2), np.arange(3)], ids=repr)
def test_selecting_all_rows_in_order_is_the_cache_itself(model, chosen):
    past = read(model, 3, 2, 1)
    assert past.select(chosen) is past
    beams = past.select([0, 0, 2])
    assert beams.select(chosen) is beams


def test_selecting_fewer_rows_lets_go_of_the_others(model):
    past = read(model, 3, 2, 1)
    kept = past.select([2, 0])
    keys, _, shared = kept.layer(0)
    assert shared is None
    assert np.array_equal(keys, past.layer(0)[0][[2, 0]])
    assert not np.shares_memory(keys, past.layer(0)[0])


def test_no_rows_and_unknown_rows(model):
    for past in (read(model, 2, 2), read(model, 2).select([0, 0])):
        assert past.select([]).real.shape == (0, 2)
        with pytest.raises(IndexError):
            past.select([2])


@whole_models
@given(st.data(), tiny_models(n_layer=2, n_positions=8), st.sampled_from(["scores", "pattern"]))
def test_a_tap_sees_all_keys_of_a_beam_in_order_and_may_edit_them(data, model, name):
    """In the oracle, reading each row alone, the same edit of the last token's row is made."""
    prompts = [data.draw(rows(model, least=3))[:6] for _ in range(2)]
    width = max(map(len, prompts))
    mask = np.arange(width)[::-1] < np.array([[len(prompt)] for prompt in prompts])
    tokens = np.zeros(mask.shape, int)
    tokens[mask] = np.concatenate(prompts)
    source = data.draw(st.lists(st.integers(0, 1), min_size=3, max_size=4))
    ends = np.random.default_rng(0).integers(0, model.config["vocab_size"], (len(source), 2))
    past = model.run(tokens, mask=mask).past.select(source)
    past = model.run(ends[:, :1], past=past).past
    shape = (len(source), model.config["n_head"], 1, width + 2)
    noise = np.random.default_rng(1).standard_normal(shape).astype(np.float32).astype(model.dtype)
    real = np.pad(past.real, ((0, 0), (0, 1)), constant_values=True)[:, None, None]
    recorder = Recorder(("scores",))

    def tap(seen_name, layer, array):
        recorder(seen_name, layer, array)
        return np.where(real, noise, array) if seen_name == name else array

    output = model.run(ends[:, 1:], past=past, tap=tap)
    for beam, prompt in enumerate(source):
        row = np.concatenate([prompts[prompt], ends[beam]])
        here = noise[beam, :, 0][:, -len(row) :]
        plain, patches = model.measure(row), {}
        for layer in range(2):
            patches[name, layer] = plain.values[name, layer].copy()
            patches[name, layer][0, :, -1] = here
        measured = model.measure(row, patches=patches)
        assert excess(output.logits[beam], measured.logits[-1:], measured.allowed()) <= 1
        before = plain.values["scores", 0][0, :, -1]
        ours = recorder["scores", 0][beam, :, 0]
        assert excess(ours[:, -len(row) :], before, plain.allowed("scores", 0)) <= 1
        assert np.isneginf(ours[:, : -len(row)]).all()


def test_dropping_marks_or_cuts(model):
    past = read(model, 5, 4)  # the second row has padding in front
    assert past.rewind([0, 0]).real.tolist() == past.real.tolist()
    assert past.rewind([2, 0]).real.tolist() == [[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]]
    assert past.rewind([2, 1]).real.tolist() == [[1, 1, 1, 0], [0, 1, 1, 1]]
    assert past.rewind([2, 1]).rewind([1, 1]).real.tolist() == [[1, 1, 0], [0, 1, 1]]
    for everything in (past, past.select([0, 0])):
        left = everything.rewind(everything.real.sum(axis=1))
        assert left.length == 0
        assert left.select([1, 1, 0]).layer(0)[2] is None  # nothing to share
    right = model.run(np.ones((1, 4), int), mask=np.array([[1, 1, 0, 0]])).past
    assert right.rewind([1]).real.tolist() == [[1]]


@pytest.mark.parametrize("counts", [[1], [1, 2, 0], [-1, 0], [0, 3], [0.0, 1.0], [True, False], 1])
def test_dropping_what_is_not_there_is_refused(model, counts):
    with pytest.raises(SettingError, match=r"cannot be dropped.*\[3, 2\]"):
        read(model, 3, 2).rewind(counts)


def test_dropping_all_that_beams_read_leaves_not_a_bit(model):
    """The prompt's end and the beams' own tokens are split alike, so the arithmetic is the same."""
    beams = read(model, 6).select([0, 0])
    beams = model.run(np.array([[1], [2]]), past=beams).past
    again = model.run(np.array([[3, 4], [4, 4]]), past=beams).past.rewind([2, 2])
    tokens = np.array([[0], [3]])
    plain, dropped = (model.run(tokens, past=past) for past in (beams, again))
    assert np.array_equal(dropped.logits, plain.logits)
    assert np.array_equal(dropped.past.real, plain.past.real)


@pytest.mark.parametrize("counts", [[1, 1], [0, 2], [3, 3]])
def test_dropping_changes_nothing_in_the_cache_it_came_from(model, counts):
    for past in (read(model, 3, 3), read(model, 1, past=read(model, 2)).select([0, 0])):
        before = arrays(past)
        model.run(np.ones((2, 2), int), past=past.rewind(counts))
        assert all(map(np.array_equal, arrays(past), before))


def test_a_long_run_of_rejected_proposals_keeps_no_more_than_what_was_accepted(model):
    past = read(model, 5)
    for kept in range(50):
        past = model.run(np.ones((1, 4), int), past=past).past.rewind([3])
        assert past.length == kept + 6


def test_dropping_does_not_copy_the_prompt(model):
    past = read(model, 300)
    for dropped, length in ((past.rewind([3]), 297), (past.rewind([3]).rewind([2]), 295)):
        own, _, shared = dropped.layer(1)
        assert np.shares_memory(shared.key, past.layer(1)[0])
        assert (shared.length, own.shape[2]) == (length, 0)
