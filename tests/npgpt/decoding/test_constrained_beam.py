"""Constrained beam search against a plain one, brute force, and itself."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from npgpt.ops._softmax import log_softmax
from tests.helpers.beam_problems import (
    assert_right,
    assert_rows_do_not_matter,
    problems,
    run,
)
from tests.helpers.slow_beams import holds
from tests.helpers.toy_language_model import random_logits

UNIT = Fraction(1, 2**53)


@given(problem=problems(constraints=True), data=st.data())
def test_equals_a_plain_search_can_be_retraced_and_keeps_prompts_apart(problem, data):
    result, _ = assert_right(problem)
    _, _, s = problem
    for row, sequence in enumerate(result.sequences):
        text = sequence if s["force_words_in_prompt"] else result.new_tokens[row]
        met = all(
            any(holds(tuple(text), phrase) for phrase in phrases)
            for phrases in s["force_words_ids"]
        )
        reasons = {"eos", "stop_string", "length"} if met else {"constraint_unmet"}
        assert result.stopped[row] in {*reasons, "no_candidates"}
    assert_rows_do_not_matter(problem, data.draw(st.permutations(range(len(problem[1])))))


PHRASES = st.lists(st.integers(0, 2), min_size=1, max_size=3)


@given(
    seed=st.integers(0, 2**32),
    words=st.lists(st.lists(PHRASES, min_size=1, max_size=2), min_size=1, max_size=2),
    room=st.integers(2, 4),
)
def test_when_wide_enough_it_finds_the_best_text_that_holds_the_phrases(seed, words, room):
    """As wide as the tree, over all texts of the room's length; equal up to the sum's rounding."""
    assume(all(min(map(len, phrases)) <= room for phrases in words))
    logits_of, width = random_logits(seed, 3), 3**room
    s = {"num_beams": width, "max_new_tokens": room, "force_words_ids": words}
    found = run(logits_of, [[0]], s)

    def exact(text):
        steps = [log_softmax(np.array(logits_of((0, *text[:at])))) for at in range(room)]
        return sum(Fraction(float(z[t])) for z, t in zip(steps, text, strict=True)) / room

    def met(text):
        return all(any(holds(text, phrase) for phrase in phrases) for phrases in words)

    good = [text for text in product(range(3), repeat=room) if met(text)]
    texts = good or list(product(range(3), repeat=room))
    best = max(map(exact, texts))
    slack = 2 * room * UNIT * abs(best)
    assert tuple(found.new_tokens[0]) in texts
    assert exact(tuple(found.new_tokens[0])) >= best - slack
    assert found.stopped == ["length" if good else "constraint_unmet"]


def flat(*favoured):
    """The same logits always: 0, and 3 for the favoured tokens."""
    return lambda history: [3.0 if token in favoured else 0.0 for token in range(5)]


def constrained(words, room, *, logits_of=None, **more):
    s = {"num_beams": 4, "max_new_tokens": room, "force_words_ids": words, **more}
    return run(logits_of or flat(0), [[0]], s)


def test_a_phrase_may_begin_anew_within_itself():
    """After 1, 1 the phrase 1, 2 is still one token in: 1 must, 2 may follow."""

    def only(history):
        after = {1: [1], 2: [1], 3: [2]}[len(history)]
        return [0.0 if token in after else -np.inf for token in range(5)]

    found = constrained([[1, 2]], 3, logits_of=only)
    assert (found.new_tokens, found.stopped) == ([[1, 1, 2]], ["length"])


@pytest.mark.parametrize(
    ("words", "room"),
    [
        ([[1, 2], [2, 3]], 3),  # 1 2 3
        ([[1, 2, 1], [2, 1, 2]], 4),  # 1 2 1 2
        ([[1, 1], [1, 1, 1]], 3),
        ([[[1, 2, 3, 4], [2, 3]], [3]], 2),  # 2 3
    ],
)
def test_phrases_may_overlap(words, room):
    """There is no room for one after the other."""
    found = constrained(words, room)
    assert found.stopped == ["length"]


def test_one_of_several_alternatives_is_enough():
    found = constrained([[[1, 2], [3]]], 2)
    assert found.stopped == ["length"]
    assert sorted(found.new_tokens[0]) == [0, 3]


def test_what_cannot_be_fulfilled_says_so():
    """Token 1 is impossible; eos, 4, must wait for it for ever."""

    def logits_of(history):
        return [0.0, -np.inf, 0.0, 0.0, 9.0]

    found = constrained([[1]], 3, logits_of=logits_of, eos_token_id=4, num_return_sequences=2)
    assert found.stopped == ["constraint_unmet"] * 2
    assert 4 not in found.new_tokens[0] + found.new_tokens[1]


def test_nothing_at_all_is_possible():
    found = constrained([[1]], 3, logits_of=lambda history: [-np.inf] * 5)
    assert (found.sequences, found.stopped) == ([[0]], ["no_candidates"])


def test_an_eos_must_wait_until_all_is_fulfilled():
    found = constrained([[1], [2, 3]], 6, logits_of=flat(4), eos_token_id=4)
    assert found.stopped == ["eos"]
    assert sorted(found.new_tokens[0]) == [1, 2, 3, 4]


def test_the_token_that_completes_a_stop_string_may_complete_the_phrase():
    """Token 2 spells "ab", which ends the text; as the phrase it may, before the phrase not."""
    found = constrained([[2]], 2, logits_of=flat(2), stop_strings=["ab"])
    assert (found.new_tokens, found.stopped) == ([[2]], ["stop_string"])
    found = constrained([[1]], 2, logits_of=flat(2), stop_strings=["ab"])
    assert (found.new_tokens, found.stopped) == ([[1, 2]], ["stop_string"])


@pytest.mark.parametrize(("counts", "expected"), [(True, [1, 0, 0]), (False, [0, 0, 1])])
def test_the_prompt_counts_only_if_asked_for(counts, expected):
    """The prompt ends with the first token of 0, 1."""
    found = constrained([[0, 1]], 3, force_words_in_prompt=counts)
    new = found.new_tokens[0]
    assert sorted(new) == sorted(expected)
    assert holds((0, *new) if counts else tuple(new), [0, 1])


def test_fulfilled_before_unfulfilled_then_by_score():
    """The phrase costs much: the unfulfilled score better, and come last all the same."""

    def logits_of(history):
        return [3.0, -9.0, 0.0, 0.0, 0.0]

    found = constrained([[1]], 1, logits_of=logits_of, num_return_sequences=4)
    assert found.new_tokens == [[1], [0], [2], [3]]
    assert found.stopped == ["length"] + ["constraint_unmet"] * 3


def test_beams_are_chosen_by_banks():
    """One bank of one token in, one of none: in turn, the most progress first."""
    told = []
    s = {"num_beams": 3, "max_new_tokens": 2, "force_words_ids": [[1, 2]]}
    run(lambda history: [2.0, -5.0, 1.0, 0.0, 0.0], [[0]], s, note=told.append)
    first = [each for each in told if each.step == 0]
    assert [each.token for each in first] == [1, 0, 2]
