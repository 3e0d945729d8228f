import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from npgpt.errors import NonFiniteError, PromptError, SettingError
from npgpt.model._score import Score, default_stride, log_probabilities
from oracle.bounds._compare import excess
from tests.helpers.tiny_models import tiny_models, whole_models


@whole_models
@given(st.data(), tiny_models(max_positions=5))
def test_each_token_is_scored_once_by_the_first_window_that_reaches_it(data, model):
    window = model.config["n_positions"]
    stride = data.draw(st.none() | st.integers(1, window))
    length = data.draw(st.integers(2, 14))
    tokens = np.random.default_rng(0).integers(0, model.config["vocab_size"], length)
    scores = log_probabilities(tokens, *model.arguments, stride=stride)
    assert scores.shape == (length - 1,)
    step = default_stride(model.arguments[1]) if stride is None else stride
    for i in range(1, length):
        start = step * max(0, math.ceil((i - window) / step))
        measured = model.measure(tokens[start:i])
        expected = special.log_softmax(measured.logits[-1])[tokens[i]]
        # A log-probability moves by at most twice what the logits do, and rounds in float64.
        allowed = 2 * measured.allowed() + 2.0**-50 * (1 + abs(expected))
        assert excess(scores[i - 1 : i], np.array([expected]), allowed) <= 1


@whole_models
@given(st.data(), tiny_models(n_positions=6))
def test_a_text_that_fits_needs_no_windows(data, model):
    tokens = np.random.default_rng(1).integers(0, model.config["vocab_size"], 7)
    scores = [log_probabilities(tokens, *model.arguments, stride=s) for s in (1, 6)]
    assert np.array_equal(*scores)


def test_perplexity_weighs_every_token_the_same():
    logs = np.log([0.5, 0.125])
    score = Score([7, 1, 2], np.array([np.nan, *logs]))
    assert score.total == logs.sum()
    assert score.perplexity == np.exp(-logs.mean())


@pytest.mark.parametrize("stride", [0, -1, 7, 2.0])
@given(model=tiny_models(n_positions=6))
def test_a_stride_that_skips_tokens_is_refused(stride, model):
    with pytest.raises(SettingError, match=str(stride)):
        log_probabilities(np.zeros(3, int), *model.arguments, stride=stride)


@pytest.mark.parametrize("tokens", [[], [1], [[1, 2]], [0, 99], [-1, 0]], ids=str)
@given(model=tiny_models(vocab_size=5))
def test_what_cannot_be_scored_is_refused(tokens, model):
    with pytest.raises(PromptError):
        log_probabilities(np.array(tokens, int), *model.arguments)


@given(model=tiny_models(n_positions=3))
def test_nan_is_an_error_not_a_score(model):
    model.weights["ln_f.bias"][0] = np.nan
    with pytest.raises(NonFiniteError, match="token 1 "):
        log_probabilities(np.zeros(3, int), *model.arguments)


def test_a_score_is_shown_in_one_line_and_in_a_notebook_as_a_short_table():
    long = Score(list(range(5000)), np.linspace(-9, -1, 5000))
    assert repr(long) == f"Score(5000 tokens, total={long.total:.6g}, perplexity=148.413)"
    assert long._repr_html_().count("<tr>") < 30
    one = Score([3, 4], np.array([np.nan, -1.0]))._repr_html_()
    assert "<td>0</td><td>3</td><td>nan</td><td>nan</td>" in one
    assert "<td>1</td><td>4</td><td>-1.0000</td><td>0.3679</td>" in one
    assert repr(Score([3], np.array([np.nan]))) == "Score(1 tokens, none of them scored)"


def test_scores_of_the_same_numbers_are_equal_and_have_one_hash():
    score, same = (Score([1, 2], np.array([np.nan, -0.5])) for _ in range(2))
    assert score == same
    assert len({score, same}) == 1
    for other in (Score([1, 3], same.log_probabilities), Score([1, 2], np.array([np.nan, -0.6]))):
        assert score != other
    assert score != "a score"
