"""Greedy search and sampling, and why they stop."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from oracle.decoding._brute_force import cells, filtered, sampled
from oracle.decoding._decoders import generate
from oracle.strategies._decoding_problems import decoding_problems
from oracle.strategies._toy_language_models import text_of, toy_language_models
from tests.helpers.device import DEVICE
from tests.helpers.toy_decoding import least_margin, of_toy, solve, table, whole_texts

EVEN = table(lambda row: [0.25, 0.5, 0.25])


def generated(model, settings, prompt=(0,), **options):
    found = generate(model, [list(prompt)], settings, **options)
    return found.sequences[0][len(prompt) :], found.stopped[0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_new_tokens": 2}, ((1, 1), "length")),
        ({"max_length": 4}, ((1, 1), "length")),
        ({"max_length": 2}, ((), "length")),
        ({"max_new_tokens": 9, "max_length": 3}, ((1,), "length")),
        ({"max_new_tokens": 1, "eos_token_id": 1}, ((1,), "eos")),  # eos, though at the limit
        ({"max_new_tokens": 9, "eos_token_id": [2, 1]}, ((1,), "eos")),
        ({"max_new_tokens": 9, "eos_token_id": 1, "min_new_tokens": 2}, ((0, 0, 1), "eos")),
        ({"max_new_tokens": 9, "eos_token_id": 1, "min_length": 3}, ((0, 1), "eos")),
        ({"max_new_tokens": 9, "stop_strings": ["bb"]}, ((1, 1), "stop_string")),
        ({"max_new_tokens": 9, "stop_strings": ["ab"]}, ((1,) * 9, "length")),  # a is the prompt's
        ({"max_new_tokens": 9, "no_repeat_ngram_size": 1}, ((1, 2), "no_candidates")),
        ({"max_new_tokens": 2, "suppress_tokens": [0, 1, 2]}, ((), "no_candidates")),
        ({"max_new_tokens": 3, "forced_eos_token_id": 2}, ((1, 1, 2), "length")),
        ({"max_new_tokens": 3, "forced_bos_token_id": 2}, ((2, 1, 1), "length")),
        ({"max_new_tokens": 2, "begin_suppress_tokens": [1]}, ((0, 1), "length")),
    ],
)
def test_greedy_ends(settings, expected):
    assert generated(EVEN, settings, (0, 0), text_of=text_of) == expected


def test_an_eos_in_the_prompt_ends_nothing():
    assert generated(EVEN, {"max_new_tokens": 2, "eos_token_id": 0}) == ((1, 1), "length")


def test_rows_stop_by_themselves():
    model = table(lambda row: [0.0, 1.0, 0.0] if row[0] else [0.0, 0.0, 1.0])
    settings = {"max_new_tokens": 3, "eos_token_id": 2}
    found = generate(model, [[0], [1, 1], [0, 0]], settings)
    assert found.sequences == ((0, 2), (1, 1, 1, 1, 1), (0, 0, 2))
    assert found.stopped == ("eos", "length", "eos")


def test_scores_are_processed_and_logprobs_are_the_models():
    model = table(lambda row: [0.25, 0.75])
    settings = {"max_new_tokens": 1, "suppress_tokens": [1]}
    found = generate(model, [[0]], settings)
    assert found.scores[0].tolist() == [[math.log(0.25), -math.inf]]
    assert found.logprobs == ((math.log(0.25),),)


def test_a_negative_prompt_grows_with_the_text():
    """Guided away from what follows the negative prompt; its default is the last token alone."""
    seen = []

    def logits_of(rows):
        seen.append([tuple(row) for row in rows])
        return torch.zeros(len(rows), 2, dtype=torch.float64, device=DEVICE)

    model = EVEN.__class__(logits_of)
    settings = {"max_new_tokens": 2, "guidance_scale": 2.0}
    generate(model, [[1, 0]], settings)
    assert seen == [[(1, 0)], [(0,)], [(1, 0, 0)], [(0, 0)]]
    seen.clear()
    generate(model, [[1, 0]], settings, negative_prompts=[[1, 1]])
    assert seen == [[(1, 0)], [(1, 1)], [(1, 0, 0)], [(1, 1, 0)]]


EXACT = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([1.0, 0.5]),
        "top_h": st.sampled_from([0.5, 0.9]),
        "top_k": st.integers(1, 4),
        "top_p": st.sampled_from([0.5, 0.9]),
        "min_p": st.sampled_from([0.5, 0.1]),
        "typical_p": st.sampled_from([0.5, 0.9]),
        "epsilon_cutoff": st.sampled_from([0.25, 0.1]),
        "eta_cutoff": st.sampled_from([0.25, 0.1]),
    },
)


@whole_texts
@given(toy_language_models(kinds=["small", "steep", "even"]), EXACT, st.booleans())
def test_each_cell_of_the_uniforms_gives_its_text(toy, filters, end):
    """The uniforms that give a text are its exact probability of them: all cells, their middles."""
    eos = [0] if end else []
    exact = sampled(toy.probabilities, (1,), 2, eos=eos, settings=filters)
    assert sum(exact.values()) == 1
    uniforms = [[_middle(toy, text[:i], v, filters) for i, v in enumerate(text)] for text in exact]
    settings = {"do_sample": True, "max_new_tokens": 2, "eos_token_id": eos, **filters}
    prompts, us = [[1]] * len(exact), [[*u, 0.0][:2] for u in uniforms]
    found = generate(of_toy(toy), prompts, settings, uniforms=us)
    sure = [min(margins) > 2.0**-30 for margins in found.margins]
    for text, sequence, clear in zip(exact, found.sequences, sure, strict=True):
        assert sequence[1:] == text or not clear


def _middle(toy, before, token, filters):
    first, end = cells(filtered(toy.probabilities((1, *before)), filters))[token]
    return float((first + end) / 2)


@whole_texts
@given(decoding_problems("sampling", without=["temperature"]))
def test_temperature_zero_is_greedy(problem):
    greedy = {k: v for k, v in problem.settings.items() if k != "do_sample"}
    cold = solve(problem, settings=problem.settings | {"temperature": 0.0})
    assert cold.sequences == solve(problem, settings=greedy).sequences


@whole_texts
@given(
    decoding_problems("sampling", without=["temperature", "top_k", "num_return_sequences"]),
    st.sampled_from([{"top_k": 1}, {"temperature": 1e-9}]),
)
def test_one_candidate_is_greedy(problem, narrow):
    greedy = solve(problem, settings=problem.settings | {"do_sample": False})
    assume(least_margin(greedy) > 2.0**-20)
    assert solve(problem, settings=problem.settings | narrow).sequences == greedy.sequences


def test_return_sequences_stand_beside_each_other():
    settings = {"do_sample": True, "max_new_tokens": 1, "num_return_sequences": 2}
    us = [[0.1], [0.4], [0.9], [0.2]]
    found = generate(EVEN, [[0], [2]], settings, uniforms=us)
    assert found.sequences == ((0, 0), (0, 1), (2, 2), (2, 0))
    assert found.prompts == (0, 0, 1, 1)


@whole_texts
@given(decoding_problems("sampling"))
def test_every_row_has_its_own_uniforms(problem):
    """Changing a row's uniforms changes no other row."""
    found = solve(problem)
    other = problem.uniforms.copy()
    other[0] = 1 - other[0]
    again = solve(problem, uniforms=other)
    assert found.sequences[1:] == again.sequences[1:]
