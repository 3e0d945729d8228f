"""The oracle's perplexity, held to its definition token by token, and to npgpt's."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import integers

from npgpt._config import from_json
from npgpt._gpt import GPT
from npgpt.model._parameters import from_arrays
from oracle import model
from oracle.adapters.subject import Subject
from oracle.bounds._compare import excess
from oracle.conformance._checks.perplexity import text_scores
from oracle.perplexity import log_probabilities, perplexity, windows
from tests.helpers.device import DEVICE

whole_models = settings(max_examples=settings.default.max_examples // 4)
examples = st.booleans().flatmap(lambda one: text_scores(Subject("any", "float64"), one_window=one))


def tensors(example):
    return {n: torch.tensor(a, dtype=torch.float64).to(DEVICE) for n, a in example.weights.items()}


def scored(example):
    found = log_probabilities(tensors(example), example.config, example.tokens, example.stride)
    return found.cpu().numpy()


@whole_models
@given(examples)
def test_each_token_is_predicted_from_its_window(example):
    """By one row for each token: what the first window that predicts it holds before it."""
    n, stride, found = example.config["n_positions"], example.stride, scored(example)
    assert found.shape == (len(example.tokens) - 1,)
    for place in range(1, len(example.tokens)):
        start = next(s for s in range(0, len(example.tokens), stride) if place <= s + n)
        row = torch.tensor(example.tokens[None, start:place]).to(DEVICE)
        logits = model.logits(tensors(example), example.config, row)[0, -1]
        logs = torch.log_softmax(logits, -1)[example.tokens[place]].item()
        # Both are float64 runs of the same model, so twice what either may be off.
        allowed = 2 * len(found) * example.reference("float64").allowed
        assert excess(found[place - 1], np.array(logs), allowed) <= 1


@whole_models
@given(examples, st.sampled_from(["float32", "float64"]))
def test_npgpt_means_the_same(example, dtype):
    config = from_json(example.config)
    arrays = {name: array.astype(dtype) for name, array in example.weights.items()}
    gpt = GPT(config, from_arrays(arrays, config), None, {})
    found = gpt.score(example.tokens.tolist(), stride=example.stride)
    logs = np.asarray(found.log_probabilities)[1:]
    allowed = len(logs) * example.reference(dtype).allowed
    assert excess(logs, scored(example), allowed) <= 1
    reference = example.reference(dtype)
    assert abs(math.log(found.perplexity) - reference.mean) <= reference.allowed


@given(integers(2, 40), integers(1, 12), st.data())
def test_windows_score_every_token_but_the_first_once(length, n_positions, data):
    stride = data.draw(integers(1, n_positions))
    found = windows(length, n_positions, stride)
    assert [w.start for w in found] == [i * stride for i in range(len(found))]
    scored = [p for w in found for p in range(w.stop - w.scored + 1, w.stop + 1)]
    assert scored == list(range(1, length))
    assert all(0 < w.scored <= w.stop - w.start <= n_positions for w in found)
    assert all(w.stop - w.start == n_positions for w in found[:-1])


def test_of_an_even_model_it_is_the_vocabularys_size():
    config = {"vocab_size": 4, "n_positions": 3, "n_embd": 2, "n_layer": 1, "n_head": 1}
    weights = {name: torch.zeros(shape).to(DEVICE) for name, shape in model.shapes(config).items()}
    # log 4 and exp of it round, in float32, to 4 exactly.
    assert perplexity(weights, config, [0, 1, 2, 3, 0, 1], 2) == 4


@pytest.mark.parametrize("stride", [0, -1, 4])
def test_the_stride_must_fit(stride):
    with pytest.raises(ValueError, match=f"stride is {stride}; expected 1 to n_positions = 3"):
        windows(9, 3, stride)


@pytest.mark.parametrize("length", [0, 1])
def test_a_text_has_two_tokens_at_least(length):
    with pytest.raises(ValueError, match=f"{length} tokens"):
        windows(length, 3, 1)
