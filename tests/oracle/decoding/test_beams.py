"""Beam search and beam sampling, beside looking at everything and beside fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oracle.decoding._beams import search_beams
from oracle.decoding._brute_force import best_texts, drawn_in_turn
from oracle.decoding._decoders import generate
from oracle.decoding._rows import start_rows
from oracle.strategies._decoding_problems import decoding_problems
from oracle.strategies._toy_language_models import text_of, toy_language_models
from tests.helpers.toy_decoding import (
    NARROW,
    least_margin,
    of_toy,
    rounding,
    solve,
    table,
    whole_texts,
)

PENALTIES = st.sampled_from([1.0, 0.0, 2.0, -1.0])
small_toys = toy_language_models(kinds=["small", "steep"])


@whole_texts
@given(
    toy_language_models(vocab=3),
    st.sampled_from([[], [0], [0, 2]]),
    PENALTIES,
    st.sampled_from([False, True, "never"]),
)
def test_beams_as_wide_as_the_tree_find_every_text_in_order(toy, eos, penalty, early):
    every = best_texts(toy.probabilities, (1,), 3, eos=eos, length_penalty=penalty)
    settings = {"num_beams": 27, "num_return_sequences": 27, "max_new_tokens": 3}
    settings |= {"eos_token_id": eos, "length_penalty": penalty, "early_stopping": early}
    found = generate(of_toy(toy), [[1]], settings)
    assert sorted(row[1:] for row in found.sequences) == sorted(t.generated for t in every)
    for score, text in zip(found.sequence_scores, every, strict=True):
        assert abs(score - text.score(penalty)) <= rounding(9)
    ended = {text.generated: text.ended for text in every}
    for row, stopped in zip(found.sequences, found.stopped, strict=True):
        assert stopped == ("eos" if ended[row[1:]] else "length")


def plain(toy, prompt, room, eos, width, penalty, early, uniforms=None):
    """Beam search in words: (score, text, parents) of what it returns, probabilities as fractions.

    `early` True, or False for the bound at the present length.
    """
    score = lambda p, n: (math.log(p.numerator) - math.log(p.denominator)) / n**penalty  # noqa: E731
    running, finished = [(Fraction(1), (), ())], []
    for step in range(room):
        pool = [
            (p * q, (*text, v), (*parents, b), v)
            for b, (p, text, parents) in enumerate(running)
            for v, q in enumerate(toy.probabilities((*prompt, *text)))
        ]
        kept = max(2, 1 + len(eos)) * width
        if uniforms is None:
            chosen = [i for i, c in enumerate(pool) if c[0]]
        else:
            chosen = drawn_in_turn([c[0] for c in pool], uniforms[step])
        ranking = sorted(chosen, key=lambda i: (-pool[i][0], i))[:kept]
        running = []
        for rank, i in enumerate(ranking):
            p, text, parents, v = pool[i]
            if v in eos and rank < width:
                finished.append((score(p, step + 1), text, parents))
            elif v not in eos and len(running) < width:
                running.append((p, text, parents))
        finished = sorted(finished, key=lambda f: -f[0])[:width]
        full = len(finished) == width
        if not running or (full and (early or score(max(running)[0], step + 1) <= finished[-1][0])):
            return finished
    finished += [(score(p, room), text, parents) for p, text, parents in running]
    return sorted(finished, key=lambda f: -f[0])[:width]


def agrees(found, expected):
    assert [row[2:] for row in found.sequences] == [text for _, text, _ in expected]
    assert list(found.beam_indices) == [parents for _, _, parents in expected]
    for score, (exact, text, _) in zip(found.sequence_scores, expected, strict=True):
        assert abs(score - exact) <= rounding(len(text) ** 2)


@whole_texts
@given(
    small_toys,
    st.sampled_from([[], [0], [0, 1]]),
    st.integers(1, 4),
    PENALTIES,
    st.booleans(),
)
def test_narrow_beams_are_what_the_words_say(toy, eos, width, penalty, early):
    settings = {"num_beams": width, "num_return_sequences": width, "max_new_tokens": 5}
    settings |= {"eos_token_id": eos, "length_penalty": penalty, "early_stopping": early}
    rows = start_rows([[1, 0]], settings)
    found = search_beams(of_toy(toy), rows, settings)
    expected = plain(toy, (1, 0), 5, eos, width, penalty, early)
    assume(least_margin(found) > NARROW)
    agrees(found, expected)


@whole_texts
@given(small_toys, st.sampled_from([[], [0], [0, 1]]), st.data())
def test_beam_sampling_draws_what_fractions_draw(toy, eos, data):
    seed = data.draw(st.integers(0, 2**32 - 1))
    us = np.random.default_rng(seed).random((1, 3, max(2, 1 + len(eos)) * 2))
    settings = {"num_beams": 2, "num_return_sequences": 2, "max_new_tokens": 3}
    settings |= {"eos_token_id": eos, "do_sample": True}
    found = generate(of_toy(toy), [[1, 0]], settings, uniforms=us)
    expected = plain(toy, (1, 0), 3, eos, 2, 1.0, False, us[0])
    assume(least_margin(found) > NARROW)
    agrees(found, expected)


@whole_texts
@given(decoding_problems("greedy", without=["repetition_penalty"]))
def test_one_beam_that_stops_early_is_greedy(problem):
    settings = problem.settings | {"num_beams": 1, "early_stopping": True}
    settings.pop("exponential_decay_length_penalty", None)
    settings.pop("guidance_scale", None)
    greedy = solve(problem, settings=settings)
    assume(least_margin(greedy) > NARROW)
    rows = start_rows(problem.prompts, settings)
    found = search_beams(of_toy(problem.toy), rows, settings, text_of=text_of)
    assert found.sequences == greedy.sequences
    assert found.stopped == greedy.stopped
    assert found.logprobs == greedy.logprobs


@whole_texts
@given(decoding_problems("beam sampling", without=["temperature"]))
def test_beam_sampling_at_temperature_zero_is_beam_search(problem):
    plain_settings = {k: v for k, v in problem.settings.items() if k != "do_sample"}
    cold = solve(problem, settings=problem.settings | {"temperature": 0.0})
    assert cold.sequences == solve(problem, settings=plain_settings).sequences


@whole_texts
@given(decoding_problems("diverse beam search", without=["num_return_sequences"]))
def test_groups_without_a_penalty_are_the_same_beam_search(problem):
    settings = dict(problem.settings)
    groups, beams = settings.pop("num_beam_groups"), settings["num_beams"]
    settings |= {"diversity_penalty": 0.0, "num_return_sequences": beams}
    found = solve(problem, settings=settings | {"num_beam_groups": groups})
    rows = start_rows(problem.prompts, settings, negative_prompts=problem.negative_prompts)
    alone = {"num_beams": beams // groups, "num_return_sequences": beams // groups}
    one = search_beams(of_toy(problem.toy), rows, settings | alone, text_of=text_of)
    assert sorted(found.sequences) == sorted(one.sequences * groups)
    assert sorted(found.sequence_scores) == sorted(one.sequence_scores * groups)


def test_groups_avoid_what_earlier_groups_took():
    model = table(lambda row: [0.5, 0.3, 0.2])
    settings = {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 0.6}
    settings |= {"max_new_tokens": 1, "num_return_sequences": 3}
    found = generate(model, [[0]], settings)
    # ln 0.5 - 0.6 = -1.29 is below ln 0.3 = -1.20; ln 0.3 - 0.6 = -1.80 is below both -1.29, -1.61.
    assert found.sequences == ((0, 0), (0, 1), (0, 0))
    assert found.sequence_scores[2] == math.log(0.5) - 0.6
    assert found.beam_indices == ((0,), (1,), (2,))


def test_the_first_step_starts_from_one_beam():
    settings = {"num_beams": 2, "num_return_sequences": 2, "max_new_tokens": 1}
    found = generate(table(lambda row: [0.6, 0.4]), [[0]], settings)
    assert found.sequences == ((0, 0), (0, 1))


def test_only_the_first_ranks_may_finish():
    # After the first step the beams are b and c; then eos ranks third, and is dropped.
    model = table(lambda row: [0.1, 0.5, 0.4] if len(row) == 1 else [0.3, 0.35, 0.35])
    settings = {"num_beams": 2, "num_return_sequences": 2, "max_new_tokens": 2, "eos_token_id": 0}
    found = generate(model, [[1]], settings)
    assert found.stopped == ("length", "length")
    assert found.sequences == ((1, 1, 1), (1, 1, 2))


def test_several_eos_leave_enough_beams():
    asked = []

    def after(row):
        asked.append(row[1:])
        return [0.35, 0.35, 0.2, 0.1]

    settings = {"num_beams": 2, "max_new_tokens": 3, "eos_token_id": [0, 1]}
    generate(table(after), [[3]], settings | {"early_stopping": "never", "length_penalty": 2.0})
    # 2 2 ranks third in its step, 2 3 sixth, behind what ends.
    assert asked == [(), (2,), (3,), (2, 2), (2, 3)]


def test_the_length_penalty_counts_generated_tokens_and_eos():
    model = table(lambda row: [0.0, 0.0, 1.0] if row[-1] == 1 else [0.5, 0.25, 0.25])
    settings = {"num_beams": 2, "max_new_tokens": 3, "eos_token_id": 2, "length_penalty": 2.0}
    found = generate(model, [[0, 0, 0, 0]], settings | {"num_return_sequences": 2})
    assert found.sequences[0][4:] == (0, 1, 2)
    assert found.sequence_scores[0] == pytest.approx(math.log(0.125) / 9, abs=rounding(3))


@pytest.mark.parametrize(
    ("early", "penalty", "steps"),
    [(True, 1.0, 2), (False, 1.0, 2), ("never", 1.0, 4), ("never", -1.0, 2), ("never", 0.0, 2)],
)
def test_when_a_search_stops(early, penalty, steps):
    """Two have finished after two steps, at ln(1/2) and ln(1/8) / 2; the best other has 1/16."""
    asked = []

    def after(row):
        asked.append(row)
        return [0.5, 0.25, 0.25]

    settings = {"num_beams": 2, "max_new_tokens": 5, "eos_token_id": 0}
    settings |= {"early_stopping": early, "length_penalty": penalty}
    generate(table(after), [[1]], settings)
    assert max(map(len, asked)) == steps


def test_fewer_candidates_than_beams():
    settings = {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 1}
    found = generate(table(lambda row: [0.5, 0.5]), [[0]], settings)
    assert found.sequences == ((0, 0), (0, 1))


def test_nothing_possible_ends_the_beams_as_they_are():
    settings = {"num_beams": 2, "max_new_tokens": 3, "no_repeat_ngram_size": 1}
    found = generate(table(lambda row: [0.5, 0.5]), [[0]], settings)
    assert (found.sequences, found.stopped) == (((0, 1),), ("no_candidates",))
    found = generate(table(lambda row: [0.5, 0.5]), [[0, 1]], settings)
    assert (found.sequences, found.sequence_scores) == (((0, 1),), (0.0,))
