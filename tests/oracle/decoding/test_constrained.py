"""Constrained beams, beside looking at everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.decoding._brute_force import best_texts
from oracle.decoding._decoders import generate
from oracle.strategies._decoding_problems import decoding_problems
from oracle.strategies._toy_language_models import text_of, toy_language_models
from tests.helpers.toy_decoding import of_toy, rounding, solve, table, whole_texts

PHRASES = st.lists(st.integers(1, 2), min_size=1, max_size=3)
CONSTRAINTS = st.lists(PHRASES | st.lists(PHRASES, min_size=1, max_size=2), min_size=1, max_size=2)


def holds(text, constraints):
    """By the letters: every constraint has a phrase that is part of the text."""
    letters = text_of(text)
    each = [[c] if isinstance(c[0], int) else c for c in constraints]
    return all(any(text_of(phrase) in letters for phrase in phrases) for phrases in each)


@whole_texts
@given(toy_language_models(vocab=3), CONSTRAINTS, st.booleans(), st.booleans())
def test_wide_beams_find_every_text_in_order(toy, constraints, end, in_prompt):
    prompt = (2, 1)
    before = prompt if in_prompt else ()
    every = best_texts(
        toy.probabilities,
        prompt,
        4,
        eos=[0] if end else [],
        fulfils=lambda text: holds(before + text, constraints),
    )
    settings = {"num_beams": 81, "num_return_sequences": 81, "max_new_tokens": 4}
    settings |= {"force_words_ids": constraints, "force_words_in_prompt": in_prompt}
    found = generate(of_toy(toy), [prompt], settings | {"eos_token_id": [0] if end else []})
    # A text that only eos could follow, too early, ends there.
    rows = [
        (row[2:], score, stopped)
        for row, score, stopped in zip(
            found.sequences, found.sequence_scores, found.stopped, strict=True
        )
        if stopped != "no_candidates"
    ]
    assert sorted(text for text, _, _ in rows) == sorted(t.generated for t in every)
    for (_, score, _), text in zip(rows, every, strict=True):
        assert abs(score - text.score(1.0)) <= rounding(16)
    for text, _, stopped in rows:
        done = holds(before + text, constraints)
        expected = "eos" if end and text[-1] == 0 else "length"
        assert stopped == (expected if done else "constraint_unmet")


@whole_texts
@given(decoding_problems("constrained beam search"))
def test_what_is_met_comes_first_and_what_is_not_says_so(problem):
    found = solve(problem)
    in_prompt = problem.settings.get("force_words_in_prompt")
    for p, prompt in enumerate(problem.prompts):
        rows = [i for i, of in enumerate(found.prompts) if of == p]
        done = [
            holds(found.sequences[i][0 if in_prompt else len(prompt) :], problem.settings[NAME])
            for i in rows
        ]
        assert done == sorted(done, reverse=True)
        for i, met in zip(rows, done, strict=True):
            assert met or found.stopped[i] in ("constraint_unmet", "no_candidates")
            assert not (met and found.stopped[i] == "constraint_unmet")


NAME = "force_words_ids"


def test_a_phrase_that_begins_anew_within_itself():
    """After 1 1 the phrase 1 2 is still one token in."""
    model = table(lambda row: [0.1, 0.8, 0.1])
    settings = {"num_beams": 2, "max_new_tokens": 3, "force_words_ids": [[1, 1, 2]]}
    found = generate(model, [[0]], settings)
    assert (found.sequences, found.stopped) == (((0, 1, 1, 2),), ("length",))
    even_after_two = table(lambda row: [1 / 3] * 3 if row[-1] == 2 else [0.1, 0.8, 0.1])
    settings = {"num_beams": 2, "max_new_tokens": 3, "force_words_ids": [[1, 2]]}
    assert generate(even_after_two, [[0]], settings).sequences == ((0, 1, 1, 2),)


def test_few_beams_find_an_unlikely_phrase():
    model = table(lambda row: [0.998, 0.001, 0.001])
    settings = {"num_beams": 2, "max_new_tokens": 3, "force_words_ids": [[1, 2, 1]]}
    assert generate(model, [[0]], settings).sequences == ((0, 1, 2, 1),)


def test_the_prompt_does_not_count_unless_asked():
    model = table(lambda row: [0.9, 0.1])
    settings = {"num_beams": 2, "max_new_tokens": 2, "force_words_ids": [[1, 0]]}
    assert generate(model, [[1]], settings).sequences == ((1, 1, 0),)
    settings["force_words_in_prompt"] = True
    assert generate(model, [[1]], settings).sequences == ((1, 0, 0),)


def test_eos_waits_for_the_phrase():
    model = table(lambda row: [0.9, 0.05, 0.05])
    settings = {"num_beams": 2, "max_new_tokens": 4, "force_words_ids": [[1]], "eos_token_id": 0}
    found = generate(model, [[2]], settings)
    assert (found.sequences, found.stopped) == (((2, 1, 0),), ("eos",))


@pytest.mark.parametrize("room", [1, 2])
def test_what_cannot_be_met_says_so(room):
    model = table(lambda row: [1.0, 0.0])
    settings = {"num_beams": 2, "max_new_tokens": room, "force_words_ids": [[1]]}
    found = generate(model, [[0]], settings)
    assert found.stopped == ("constraint_unmet",)
    assert found.sequences == ((0,) * (room + 1),)


def test_alternatives_take_the_likelier():
    model = table(lambda row: [0.7, 0.1, 0.2])
    settings = {"num_beams": 3, "max_new_tokens": 1, "force_words_ids": [[[1], [2]]]}
    assert generate(model, [[0]], settings).sequences == ((0, 2),)
