"""OpenAI's released models, where they are on disk: the answers of tests/released_facts.json.

NPGPT_GPT2 and NPGPT_GPT2_XL name folders with their weights and tokenizer files. The float64 run
of the XL model takes 13 GB of memory.
"""

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest

import npgpt
from npgpt.model._forward import forward
from npgpt.model._parameters import to_arrays
from oracle.bounds._noise import FACTOR

FACTS = json.loads((Path(__file__).parents[1] / "released_facts.json").read_text(encoding="utf-8"))
VARIABLES = {"gpt2": "NPGPT_GPT2", "gpt2-xl": "NPGPT_GPT2_XL"}
XL = FACTS["gpt2-xl"]
GREEDY = [(name, fact) for name in VARIABLES for fact in FACTS[name]["greedy"]]


@functools.cache
def model(name: str) -> npgpt.GPT:
    folder = os.environ.get(VARIABLES[name])
    if not folder:
        pytest.skip(f"{VARIABLES[name]} names no folder with OpenAI's {name}")
    return npgpt.load(folder)


@functools.cache
def exact(ids: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, float, float]:
    """The XL model's logits and final hidden states (query, …) in float64, and the allowances.

    The printed numbers were computed in float32. How far that may be off is measured by npgpt's
    own float32 run, times the factor by which a noise floor is always stretched.
    """
    gpt = model("gpt2-xl")
    tokens = np.array([ids])
    wide = npgpt.load(os.environ[VARIABLES["gpt2-xl"]], dtype=np.float64)
    narrow, true = (forward(tokens, g.parameters, g.config) for g in (gpt, wide))
    floors = (
        float(np.abs(a - b).max())
        for a, b in ((narrow.logits, true.logits), (narrow.hidden, true.hidden))
    )
    return true.logits[0], true.hidden[0], *(FACTOR * floor for floor in floors)


def encoded(text: str) -> tuple[int, ...]:
    return tuple(model("gpt2-xl").tokenizer.encode(text))


def half_a_unit(decimals: int) -> float:
    """The most by which printing this many decimals rounds."""
    return 10.0**-decimals / 2


def corners(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows[:, :3], rows[:, -3:]], axis=1)


@pytest.mark.parametrize("name", VARIABLES)
def test_size(name):
    gpt = model(name)
    known = dict(FACTS["sizes"][name])
    count = sum(array.size for array in to_arrays(gpt.parameters).values())
    assert count == known.pop("parameters")
    assert {field: getattr(gpt.config, field) for field in known} == known


@pytest.mark.parametrize(("name", "fact"), GREEDY, ids=[fact["prompt"] for _, fact in GREEDY])
def test_greedy_continuation(name, fact):
    result = model(name).generate(fact["prompt"], max_new_tokens=fact["max_new_tokens"])
    assert result.text == fact["prompt"] + fact["continues"]


@pytest.mark.parametrize("what", ["logits", "final_hidden"])
def test_corners(what):
    gpt = model("gpt2-xl")
    logits, hidden, off, hidden_off = exact(encoded(XL["prompt"]))
    found, noise = (logits, off) if what == "logits" else (hidden, hidden_off)
    assert gpt.logits(XL["prompt"]).shape == tuple(XL["logits_shape"])
    difference = np.abs(corners(found) - np.array(XL[f"{what}_corners"]))
    assert difference.max() <= half_a_unit(4) + noise


def test_the_five_likeliest():
    gpt, fact = model("gpt2-xl"), XL["top5_percent"]
    logits, _, off, _ = exact(encoded(fact["prompt"]))
    shares = 100 * np.exp(logits[-1] - np.logaddexp.reduce(logits[-1]))
    likeliest = np.argsort(-shares)[: len(fact["tokens"])]
    assert [gpt.tokenizer.decode([token]) for token in likeliest] == list(fact["tokens"])
    # A probability moves by at most the factor exp(2 · off).
    noise = np.expm1(2 * off) * shares[likeliest]
    difference = np.abs(shares[likeliest] - list(fact["tokens"].values()))
    assert (difference <= half_a_unit(2) + noise).all()


def test_the_unicorns():
    gpt, fact = model("gpt2-xl"), XL["unicorns"]
    result = gpt.generate(fact["prompt"], max_length=fact["max_length"])
    assert result.prompt_lengths == [fact["prompt_tokens"]]
    assert result.text.startswith(fact["prompt"] + fact["begins"])
    (found,) = result.logprobs
    # Each log-probability moves by at most twice what the logits do.
    _, _, off, _ = exact(tuple(result.sequences[0]))
    assert abs(sum(found) - fact["log_probability"]) <= half_a_unit(5) + 2 * off * len(found)
