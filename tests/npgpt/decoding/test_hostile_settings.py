"""Settings and prompts of absurd values: refused in one short error, or harmless."""

import numpy as np
import pytest

from npgpt.decoding._settings import Settings
from npgpt.errors import ContextLengthError, NpgptError, PromptError, SettingError
from tests.helpers.small_gpt import small_gpt

GPT = small_gpt()
HUGE, DIGITS = 10**30, 10**5000
SAMPLE = {"do_sample": True}
BEAMS = {"num_beams": 2}
LONGEST = 1200  # an unknown name gets the list of all names

REFUSED = {
    **{f"{name} of 5,001 digits": {name: DIGITS} for name in (
        "max_length", "max_new_tokens", "min_length", "min_new_tokens", "top_k", "num_beams",
        "num_beam_groups", "num_return_sequences", "no_repeat_ngram_size", "eos_token_id",
        "pad_token_id", "forced_bos_token_id", "temperature", "top_p", "repetition_penalty",
        "length_penalty", "guidance_scale", "prompt_lookup_num_tokens", "seed",
    )},
    **{f"{name} of 31 digits": {name: HUGE} for name in (
        "max_length", "max_new_tokens", "min_length", "min_new_tokens", "num_beams",
        "num_return_sequences", "eos_token_id", "forced_bos_token_id", "length_penalty",
    )},
    "ids of 5,001 digits": {"suppress_tokens": [DIGITS]},
    "biases of 5,001 digits": {"logit_bias": {1: DIGITS}},
    "phrases of 5,001 digits": {"bad_words_ids": [[DIGITS]]},
    "a decay of 5,001 digits": {"exponential_decay_length_penalty": (DIGITS, 2.0)},
    "a million ids that are none": {"suppress_tokens": [-1] * 10**6},
    "a megabyte for a number": {"top_k": "x" * 10**6},
    "a megabyte for a function": {"prefix_allowed_tokens_fn": "x" * 10**6},
    "a megabyte for a word": {"early_stopping": "x" * 10**6, **BEAMS},
    "a megabyte for a name": {"x" * 10**6: 1},
    "a megabyte for an unknown name": {"mood": "x" * 10**6},
    "a stop string of megabytes, and a number": {"stop_strings": ["x" * 10**6, 5]},
    "a deep list": {"bad_words_ids": [[[[[[[1]]]]]]]},
    "more beams than allowed": {"num_beams": 4097},
    "NumPy's NaN": {"temperature": np.float64("nan"), **SAMPLE},
    "NumPy's infinity": {"temperature": np.float32("inf"), **SAMPLE},
    "NumPy's fraction": {"top_k": np.float64(3), **SAMPLE},
    "NumPy's true": {"top_k": np.True_, **SAMPLE},
    "an array of one": {"top_k": np.array([3]), **SAMPLE},
    "an array of flags": {"do_sample": np.array([True, False])},
    "1e400": {"temperature": 1e400, **SAMPLE},
    "below zero, all but": {"temperature": -5e-324, **SAMPLE},
    "a list of nothing to force": {"force_words_ids": [], **BEAMS},
    "a forced phrase longer than the context": {"force_words_ids": [[1] * 10**4], **BEAMS},
}  # fmt: skip


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
def test_refused(given):
    limit = {} if {"max_length", "max_new_tokens"} & set(given) else {"max_new_tokens": 2}
    with pytest.raises((SettingError, ContextLengthError)) as caught:
        GPT.generate("a", **given, **limit)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < LONGEST


HARMLESS = {
    "top_k": {"top_k": HUGE, **SAMPLE},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": HUGE},
    "prompt_lookup_num_tokens": {"prompt_lookup_num_tokens": HUGE},
    "max_matching_ngram_size": {"prompt_lookup_num_tokens": 2, "max_matching_ngram_size": HUGE},
    "pad_token_id": {"pad_token_id": HUGE},
    "seed": {"seed": HUGE, **SAMPLE},
    "a late decay": {"exponential_decay_length_penalty": (HUGE, 2.0)},
    "a steep decay": {"exponential_decay_length_penalty": (0, 1e30), "eos_token_id": 1},
    "a flat decay": {"exponential_decay_length_penalty": (0, 1e-30), "eos_token_id": 1},
    "length_penalty": {"length_penalty": 100, **BEAMS},
    "negative length_penalty": {"length_penalty": -100, **BEAMS},
    "negative zero": {"length_penalty": -0.0, **BEAMS},
    "negative zero temperature": {"temperature": -0.0, **SAMPLE},
    "the highest temperature": {"temperature": 1.7e308, **SAMPLE},
    "the lowest temperature": {"temperature": 5e-324, **SAMPLE},
    "the least shares": {"top_p": 5e-324, "typical_p": 5e-324, "top_h": 5e-324, **SAMPLE},
    "the largest cutoffs": {"epsilon_cutoff": 1 - 1e-16, "eta_cutoff": 1 - 1e-16, **SAMPLE},
    "guidance_scale": {"guidance_scale": 1e30},
    "penalties": {"repetition_penalty": 1e30, "frequency_penalty": 1e30, "presence_penalty": -1e30},
    "biases": {"logit_bias": dict.fromkeys(range(250), 1e30)},
    "a long phrase": {"sequence_bias": {tuple([1] * 10**4): 1e30}},
    "a long stop string": {"stop_strings": "x" * 10**6},
    "many stop strings": {"stop_strings": [f"x{n}" for n in range(10**4)]},
    "empty lists": {"bad_words_ids": [], "suppress_tokens": [], "eos_token_id": []},
    "NumPy's numbers": {"top_k": np.uint8(3), "temperature": np.float32(0.5), "seed": np.int8(3)},
}


@pytest.mark.parametrize("given", HARMLESS.values(), ids=HARMLESS)
def test_harmless(given):
    sampled = {"do_sample": True} if "temperature" in given else {}
    found = GPT.generate("a", max_new_tokens=2, **{**given, **sampled})
    assert all(0 <= token < GPT.config.vocab_size for row in found.sequences for token in row)


PROMPTS = {
    "None": None,
    "a number": 5,
    "bytes": b"ab",
    "nothing": [],
    "an empty row": [[]],
    "a text and a number": ["a", 5],
    "a row and a number": [[1], 2],
    "true": [True],
    "a fraction": [1.0],
    "NaN": [float("nan")],
    "negative": [-1],
    "of 31 digits": [HUGE],
    "of 5,001 digits": [DIGITS],
    "negative, of 5,001 digits": [-DIGITS],
    "a number of 5,001 digits": DIGITS,
    "nested": [[[1]]],
    "an array of no dimensions": np.array(3),
    "an array of fractions": np.array([1.5]),
    "an object": {1: 2},
    "a set": {1},
    "a generator": iter([1]),
    "an empty text": "",
    "half a surrogate pair": "\ud800",
    "a megabyte of bytes": b"x" * 10**6,
    "a row of a megabyte text": [[1], "x" * 10**6],
    "longer than the context": [1] * 10**4,
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_prompts(prompt):
    with pytest.raises(NpgptError) as caught:
        GPT.generate(prompt, max_new_tokens=1)
    assert len(str(caught.value)) < 400


def test_a_models_own_setting_is_named_with_its_file():
    gpt = small_gpt(do_sample=True, top_p=7)
    with pytest.raises(SettingError, match=r"generation_config.json: top_p is 7; give .*; or set"):
        gpt.generate("a")
    assert gpt.generate("a", top_p=0.5, max_new_tokens=1, seed=0).new_tokens


@pytest.mark.parametrize("name", ["num_beams", "num_return_sequences"])
def test_a_model_cannot_ask_for_thousands_of_rows(name):
    with pytest.raises(SettingError, match=f"generation_config.json: {name} is 257; .* 1 to 256"):
        small_gpt(do_sample=True, **{name: 257}).settings()
    assert getattr(small_gpt(do_sample=True).settings(**{name: 257}), name) == 257


def test_a_long_name_is_not_repeated():
    with pytest.raises(SettingError) as caught:
        Settings(**{"top_k" * 10**5: 1})
    assert len(str(caught.value)) < LONGEST


def test_prompt_errors_are_no_settings():
    with pytest.raises(PromptError, match="a token id is a whole number"):
        GPT.generate([1, None], max_new_tokens=1)
