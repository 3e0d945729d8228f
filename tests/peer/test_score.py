"""Log-probability and perplexity of a text, beside transformers' loss."""

import dataclasses

import numpy as np
import pytest
import torch

import npgpt
from npgpt.model._parameters import from_arrays, to_arrays
from oracle.bounds._rounding import gamma
from tests.helpers.transformers_gpt2 import logits_of, noise, trained

LENGTH = 40


def ids(length: int) -> list[int]:
    return [2, *np.random.default_rng(3).integers(4, 9669, length - 1).tolist()]


def references(row: list[int]) -> np.ndarray:
    """log p of each token after the first, from transformers' float64 logits."""
    logits = torch.from_numpy(logits_of(trained().reference, np.array([row[:-1]]))[0])
    return logits.log_softmax(-1).numpy()[np.arange(len(row) - 1), row[1:]]


def allowed(row: list[int], dtype: str, largest: float, *, sums: str = "float64") -> float:
    """How far a log-probability may be off: both logits' errors, and log softmax's own rounding.

    In dtype `sums` the sum of exps has as many roundings as terms, and the subtractions round
    what they give.
    """
    terms = trained().config["vocab_size"] + 8
    return 2 * noise(row, dtype) + gamma(terms, sums) + gamma(4, sums) * largest


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_token_the_total_and_the_perplexity(dtype):
    row = ids(LENGTH)
    wanted = references(row)
    limit = allowed(row, dtype, np.abs(wanted).max())
    score = npgpt.load(trained().folder, dtype=dtype).score(row)
    assert score.tokens == row
    assert np.isnan(score.log_probabilities[0])
    assert np.abs(score.log_probabilities[1:] - wanted).max() <= limit
    assert abs(score.total - wanted.sum()) <= limit * len(wanted)
    assert abs(np.log(score.perplexity) + wanted.mean()) <= limit


def test_the_loss_of_transformers():
    """Its loss is the mean, in float32 even where the model is float64."""
    row = ids(LENGTH)
    tokens = torch.tensor([row])
    with torch.no_grad():
        loss = float(trained().reference(tokens, labels=tokens).loss)
    score = npgpt.load(trained().folder).score(row)
    largest = np.nanmax(np.abs(score.log_probabilities))
    assert abs(np.log(score.perplexity) - loss) <= allowed(row, "float32", largest, sums="float32")


def test_windows_of_a_long_text():
    """Every token once, by at least as much context as the stride leaves."""
    window, stride = 64, 40
    whole = npgpt.load(trained().folder, dtype="float64")
    config = dataclasses.replace(whole.config, n_positions=window)
    arrays = to_arrays(whole.parameters)
    arrays["wpe.weight"] = arrays["wpe.weight"][:window]
    gpt = npgpt.GPT(config, from_arrays(arrays, config))
    row = ids(window + stride + 9)
    found = gpt.score(row, stride=stride).log_probabilities[1:]
    wanted = np.full(len(row) - 1, np.nan)
    for start, end in ((0, window), (stride, window + stride), (2 * stride, len(row) - 1)):
        fresh = np.flatnonzero(np.isnan(wanted[start:end]))
        wanted[start:end][fresh] = references(row[start : end + 1])[fresh]
    limit = allowed(row[:window], "float64", np.abs(wanted).max())
    assert np.abs(found - wanted).max() <= limit
