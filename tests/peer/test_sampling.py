"""Sampling from a trained checkpoint: its distribution at every step, and each draw."""

from collections import Counter

import numpy as np
import pytest

import npgpt
from npgpt.decoding._processors import pipeline
from tests.helpers.decision_verdicts import MISMATCH, few_ties
from tests.helpers.transformers_gpt2 import judge, logits_of, noise, trained

NEW = 16
PROMPT = [2, 8225, 6160]
SETTINGS = [
    {"temperature": 0.7},
    {"top_k": 20},
    {"top_p": 0.9},
    {"temperature": 1.3, "top_k": 100, "top_p": 0.95},
    {"repetition_penalty": 1.3, "top_p": 0.8},
    {"min_length": 9, "eos_token_id": [3, 8597], "top_k": 5},
    {"min_new_tokens": 5, "temperature": 2.0, "top_p": 0.5},
]


def verdicts(settings: dict, dtype: str) -> Counter:
    gpt = npgpt.load(trained().folder, dtype=dtype)
    told = {"eos_token_id": 3, **settings}
    uniforms = np.random.default_rng(1).random((1, NEW))
    result = gpt.generate(
        PROMPT, max_new_tokens=NEW, do_sample=True, uniforms=uniforms, output_scores=True, **told
    )
    (row,), (scores,) = result.sequences, result.scores
    logits = logits_of(trained().reference, np.array([row]))[0]
    allowed = noise(row, dtype)
    return judge(told, row, len(PROMPT), logits, allowed, scores=scores, uniforms=uniforms[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_distribution_and_draw_at_every_step(settings, dtype):
    found = verdicts(settings, dtype)
    assert few_ties(found), found


def test_a_wrong_filter_is_noticed(monkeypatch):
    """The judge judged: a top_p that drops the token which reaches p.

    In float64, where hardly a token is undecided; float32's noise hides unlikely ones.
    """
    right = pipeline.FILTERS["top_p"]

    def drops_the_crossing_token(p, run):
        process = right(p, run)

        def processed(rows, scores):
            kept = process(rows, scores)
            last = np.where(kept > -np.inf, kept, np.inf).argmin(axis=-1)
            kept[np.arange(len(kept)), last] = -np.inf
            return kept

        return processed

    monkeypatch.setitem(pipeline.FILTERS, "top_p", drops_the_crossing_token)
    assert verdicts({"top_p": 0.9}, "float64")[MISMATCH] > 0
