from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.strategies._decoding_problems import (
    DECODERS,
    REQUIRED,
    build_problem,
    decoding_problems,
    draws,
    room_of,
    settings_of,
)
from oracle.strategies._toy_language_models import build_toy, toy_language_models
from tests.helpers.strategy_reach import simplest
from tests.helpers.toy_decoding import solve

decoders = pytest.mark.parametrize("decoder", DECODERS)


@given(st.sampled_from(DECODERS).flatmap(decoding_problems))
def test_problems_fit_together(problem):
    settings, vocab = problem.settings, problem.toy.vocab_size
    assert 1 <= len(problem.prompts) <= 3
    assert {v for row in problem.prompts for v in row} <= set(range(vocab))
    rooms = [room_of(prompt, settings) for prompt in problem.prompts]
    assert min(rooms) >= 1
    assert ("max_length" in settings) != ("max_new_tokens" in settings)
    assert _ids(settings) <= set(range(vocab))
    beams = settings.get("num_beams", 1)
    assert beams % settings.get("num_beam_groups", 1) == 0
    assert beams == 1 or settings.get("num_return_sequences", 1) <= beams
    if not settings.get("do_sample"):
        assert not {"temperature", "top_p", "min_p", "typical_p", "top_h"} & set(settings)
        assert beams > 1 or "num_return_sequences" not in settings
    if draws(settings):
        copies = settings.get("num_return_sequences", 1) if beams == 1 else 1
        assert problem.uniforms.shape[:2] == (len(problem.prompts) * copies, max(rooms))
        assert problem.uniforms.min() >= 0
        assert problem.uniforms.max() < 1
    else:
        assert problem.uniforms is None
    if "force_words_ids" in settings:
        ends = np.atleast_1d(settings.get("eos_token_id", [])).tolist()
        for phrases in ([c] if isinstance(c[0], int) else c for c in settings["force_words_ids"]):
            assert all(1 <= len(phrase) <= min(rooms) for phrase in phrases)
            assert not {v for phrase in phrases for v in phrase} & set(ends)


def _ids(settings):
    """Every id in the settings that hold ids alone."""
    found = set()
    for name in ("eos_token_id", "bad_words_ids", "suppress_tokens", "forced_bos_token_id",
                 "begin_suppress_tokens", "force_words_ids", "logit_bias", "sequence_bias",
                 "forced_eos_token_id"):  # fmt: skip
        found |= set(_flat(settings.get(name, [])))
    return found


def _flat(value):
    return [value] if isinstance(value, int) else [v for part in value for v in _flat(part)]


@decoders
def test_every_setting_is_reached(decoder):
    toy = build_toy("even", 0, 3, 1)
    for name in settings_of(decoder):
        names = [name]
        if name == "max_matching_ngram_size":  # means nothing without
            names = [name, "prompt_lookup_num_tokens"]
        assert name in build_problem(decoder, toy, [1], 1, names, 0).settings


@pytest.mark.parametrize("name", ["temperature", "max_length", "early_stopping"])
def test_a_failing_example_loses_its_other_settings(name):
    found = simplest(decoding_problems("beam sampling"), lambda p: name in p.settings)
    assert set(found.settings) <= {"max_new_tokens", "do_sample", "num_beams", name}


@pytest.mark.parametrize("decoder", ["greedy", "constrained beam search"])
def test_shrinks_to_one_token_after_one(decoder):
    found = simplest(decoding_problems(decoder), lambda problem: True)
    assert list(map(len, found.prompts)) == [1]
    assert set(found.settings) == {"max_new_tokens", *REQUIRED[decoder]}
    assert found.settings["max_new_tokens"] == 1


@decoders
def test_every_end_is_reached(decoder):
    ends = set()
    for seed in range(150):
        rng = Random(seed)
        names = rng.sample(settings_of(decoder), 3)
        toy = build_toy(rng.choice(["small", "steep"]), seed, rng.randint(2, 4), 2)
        ends |= set(solve(build_problem(decoder, toy, [2], 4, names, seed)).stopped)
    constrained = {"constraint_unmet"} if decoder == "constrained beam search" else set()
    assert ends == {"eos", "length", "stop_string", "no_candidates"} | constrained


@given(toy_language_models(), st.integers(0, 9))
def test_values_do_not_depend_on_which_others_are_set(toy, seed):
    names = ["top_p", "min_p", "logit_bias"]
    both = build_problem("sampling", toy, [2], 3, names, seed)
    one = build_problem("sampling", toy, [2], 3, names[1:], seed)
    assert both.prompts == one.prompts
    assert {**both.settings, **one.settings} == both.settings
    assert np.array_equal(both.uniforms, one.uniforms)
