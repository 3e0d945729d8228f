"""A trained checkpoint, saved by transformers in 2024: read and run by both."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch

import npgpt
from npgpt.model._parameters import to_arrays
from oracle.bounds._compare import excess
from tests.helpers.decision_verdicts import few_ties
from tests.helpers.transformers_gpt2 import judge, logits_of, noise, open_folder, padded, trained

NEW = 24
DTYPES = ("float32", "float64")

CHECK = """
import sys
import npgpt
gpt = npgpt.load(sys.argv[1])
gpt.generate([2, 7], max_new_tokens=2)
assert not {"torch", "transformers", "scipy"} & set(sys.modules)
"""


def prompts() -> list[list[int]]:
    """Rows of different lengths: the beginning of text, alone and before ids at random."""
    rng = np.random.default_rng(0)
    return [[2, *rng.integers(4, 9669, length).tolist()] for length in (0, 4, 11)]


def test_it_loads_and_runs_without_torch():
    subprocess.run([sys.executable, "-c", CHECK, str(trained().folder)], check=True)


def test_the_arrays_are_those_that_transformers_reads():
    found = to_arrays(npgpt.load(trained().folder).parameters)
    assert found.keys() == trained().weights.keys()
    for name, array in trained().weights.items():
        assert np.array_equal(found[name], array), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_of_padded_batches(dtype):
    gpt = npgpt.load(trained().folder, dtype=dtype)
    referees = [trained().reference]
    if dtype == "float32":
        referees.append(open_folder(trained().folder, dtype=torch.float32))
    limits = [noise(row, dtype) for row in prompts()]
    for side in ("left", "right"):
        tokens, mask = padded(prompts(), side)
        reference, *others = (logits_of(model, tokens, mask) for model in referees)
        for row, real in enumerate(mask):
            for candidate in (gpt.logits(tokens, mask), *others):
                assert excess(candidate[row, real], reference[row, real], limits[row]) <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "settings",
    [{}, {"repetition_penalty": 1.3}, {"min_new_tokens": 9, "eos_token_id": [3, 8597]}],
    ids=str,
)
def test_greedy_tokens(settings, dtype):
    gpt = npgpt.load(trained().folder, dtype=dtype)
    told = {"eos_token_id": 3, **settings}
    result = gpt.generate(prompts(), max_new_tokens=NEW, **told)
    verdicts = Counter()
    for row, prompt in zip(result.sequences, result.prompt_lengths, strict=True):
        logits = logits_of(trained().reference, np.array([row]))[0]
        verdicts += judge(told, row, prompt, logits, noise(row, dtype))
    assert few_ties(verdicts), verdicts


def test_greedy_rows_are_those_of_generate():
    """Token for token, padding and end of text included, up to the first tie of a row."""
    gpt = npgpt.load(trained().folder, dtype="float64")
    tokens, mask = padded(prompts(), "left")
    given = torch.from_numpy(tokens), torch.from_numpy(mask.astype(np.int64))
    wanted = trained().reference.generate(
        given[0], attention_mask=given[1], max_new_tokens=NEW, do_sample=False
    )
    result = gpt.generate(tokens, mask, max_new_tokens=NEW)
    found = [[*new, *[0] * (NEW - len(new))] for new in result.new_tokens]
    assert found == wanted[:, tokens.shape[1] :].tolist()
