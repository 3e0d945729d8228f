"""The processors' order, and what they are given."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle.decoding._pipeline import gain, process, stages
from oracle.decoding._rows import start_rows
from oracle.strategies._decoding_problems import decoding_problems
from tests.helpers.device import DEVICE
from tests.helpers.toy_decoding import NARROW, of_toy, whole_texts

ORDER = [
    "sequence_bias",
    "logit_bias",
    "diversity_penalty",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "no_repeat_ngram_size",
    "bad_words_ids",
    "min_length",
    "min_new_tokens",
    "prefix_allowed_tokens_fn",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "logits_processor",
    "temperature",
    "top_h",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
]


def tensor(*rows):
    return torch.tensor(rows, dtype=torch.float64, device=DEVICE)


def run(settings, scores, prompt=(0,), generated=(), **options):
    settings = {"max_length": 9, **settings}
    rows = [row.then(*generated) for row in start_rows([list(prompt)], settings)]
    return process(settings, rows, tensor(scores), **options)[0][0].tolist()


def test_order():
    settings = {
        "sequence_bias": {(0,): 1.0},
        "logit_bias": {0: 1.0},
        "diversity_penalty": 1.0,
        "repetition_penalty": 2.0,
        "frequency_penalty": 1.0,
        "presence_penalty": 1.0,
        "no_repeat_ngram_size": 2,
        "bad_words_ids": [[0]],
        "min_length": 2,
        "min_new_tokens": 2,
        "prefix_allowed_tokens_fn": lambda prompt, tokens: [0, 1],
        "forced_bos_token_id": 0,
        "forced_eos_token_id": 1,
        "exponential_decay_length_penalty": (0, 2.0),
        "suppress_tokens": [0],
        "begin_suppress_tokens": [0],
        "logits_processor": (lambda rows, scores: scores,),
        **dict.fromkeys(("temperature", "top_h", "top_p", "typical_p"), 0.5),
        **dict.fromkeys(("min_p", "epsilon_cutoff", "eta_cutoff"), 0.5),
        "top_k": 1,
        "max_length": 3,
        "eos_token_id": 2,
    }
    rows = start_rows([[0]], settings)
    scores, taken = tensor([1.0, 2.0, 3.0]), tensor([0.0, 1.0, 0.0])
    found = stages(dict(reversed(settings.items())), rows, scores, sampling=True, taken=taken)
    assert [stage.name for stage in found] == ORDER
    found = stages(settings, rows, scores, taken=taken)
    assert [stage.name for stage in found] == ORDER[: ORDER.index("temperature")]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # bias, then penalty: (3 + 1) / 2
        ({"logit_bias": {0: 1.0}, "repetition_penalty": 2.0}, [2.0, 2.0, 1.0]),
        ({"logit_bias": {0: 1.0}, "sequence_bias": {(0,): 1.0}}, [5.0, 2.0, 1.0]),
        # (3 / 2) - 1
        ({"repetition_penalty": 2.0, "frequency_penalty": 1.0}, [0.5, 2.0, 1.0]),
        # forced, though banned
        ({"bad_words_ids": [[0]], "forced_eos_token_id": 0, "max_length": 3}, [0.0, -math.inf]),
        # banned, though forced
        ({"suppress_tokens": [0], "forced_eos_token_id": 0, "max_length": 3}, [-math.inf] * 2),
        ({"logits_processor": (lambda r, s: s + 1, lambda r, s: s * 2)}, [8.0, 6.0, 4.0]),
        ({"top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0, "top_h": 1.0}, [3.0, 2.0, 1.0]),
        # temperature first: of p = 0.67 0.24 0.09 top_p 0.7 keeps two; of 0.87 0.12 0.02 one.
        ({"temperature": 0.5, "top_p": 0.7}, [6.0, -math.inf, -math.inf]),
        # top_k first, then 0.73 alone is enough
        ({"top_k": 2, "top_p": 0.7}, [3.0, -math.inf, -math.inf]),
    ],
)
def test_one_after_the_other(settings, expected):
    found = run(settings, [3.0, 2.0, 1.0], generated=(0,), sampling=True)
    assert found[: len(expected)] == expected


def test_beam_sampling_keeps_one_token_more_than_there_are_eos():
    for eos, number in ((None, 1), (0, 2), ([0, 1], 3)):
        settings = {"num_beams": 2, "top_k": 1, "top_p": 0.1, "eos_token_id": eos}
        found = run(settings, [4.0, 3.0, 2.0, 1.0], sampling=True)
        assert sum(score > -math.inf for score in found) == number


def test_lengths_count_the_prompt_or_do_not():
    for settings in ({"min_length": 3}, {"min_new_tokens": 1}):
        found = run({"eos_token_id": 1, **settings}, [0.0, 0.0], prompt=(0, 0))
        assert found == [0.0, -math.inf]
        found = run({"eos_token_id": 1, **settings}, [0.0, 0.0], prompt=(0, 0), generated=(0,))
        assert found == [0.0, 0.0]


@whole_texts
@given(decoding_problems("sampling"), st.integers(0, 9))
def test_no_score_moves_more_than_the_gain(problem, seed):
    settings = {k: v for k, v in problem.settings.items() if k != "guidance_scale"}
    rows = start_rows(problem.prompts, settings)
    scores = of_toy(problem.toy).logits_of(problem.prompts)
    generator = torch.Generator().manual_seed(seed)
    moves = torch.rand(scores.shape, generator=generator, dtype=torch.float64).to(DEVICE)
    # Without filters, which rule out or do not.
    plain = {k: v for k, v in settings.items() if k == "temperature" or k not in ORDER[-7:]}
    before, _ = process(plain, rows, scores, sampling=True)
    after, _ = process(plain, rows, scores + moves * NARROW, sampling=True)
    moved = torch.where(before == after, 0, (after - before).abs())
    by = gain(settings, 0, sampling=True, beams=False)
    assert moved.max() <= by * NARROW * (1 + 2.0**-10)
