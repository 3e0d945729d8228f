"""Beam search against a plain one, brute force, greedy decoding, and itself."""

import functools
from collections import Counter
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import slow_beams
from tests.helpers import slow_decoding as slow
from tests.helpers.beam_problems import (
    SPELLING,
    assert_equal,
    assert_right,
    assert_rows_do_not_matter,
    plain_scores,
    problems,
    run,
)
from tests.helpers.toy_language_model import Toy, random_logits

UNIT = Fraction(1, 2**53)


@given(problem=problems())
def test_equals_a_plain_search_and_can_be_retraced(problem):
    result, _ = assert_right(problem)
    rows = list(zip(result.prompts, map(tuple, result.sequences), strict=True))
    assert len(set(rows)) == len(rows), "beams must not be duplicates"


@given(problem=problems(), shift=st.integers(-64, 64), data=st.data())
def test_other_prompts_a_constant_in_the_logits_and_their_dtype_do_not_matter(problem, shift, data):
    """Logits in quarters, so that shifted ones, and float32, are exact: equal in every bit."""
    assert_rows_do_not_matter(problem, data.draw(st.permutations(range(len(problem[1])))))
    logits_of, prompts, s = problem
    plain = run(*problem)
    assert_equal(run(lambda history: [z + shift for z in logits_of(history)], prompts, s), plain)
    assert_equal(run(*problem, toy=Toy(logits_of, np.float32)), plain)


@given(
    seed=st.integers(0, 2**32),
    vocab=st.integers(2, 3),
    room=st.integers(1, 3),
    eos=st.lists(st.integers(0, 1), max_size=2, unique=True),
    length_penalty=st.sampled_from([-1, 0, 1, 2]),
    early_stopping=st.sampled_from([False, True, "never"]),
)
def test_as_wide_as_the_tree_it_finds_every_text_best_first(
    seed, vocab, room, eos, length_penalty, early_stopping
):
    """Scores are compared exactly; rounding may change the order of nearly equal ones.

    A sum of g numbers is rounded g - 1 times, the power and the quotient once each.
    """
    logits_of, prompt, width = random_logits(seed, vocab), [0], max(2, vocab**room)
    s = {"max_new_tokens": room, "num_beams": width, "num_return_sequences": width}
    s |= {"length_penalty": length_penalty, "early_stopping": early_stopping, "eos_token_id": eos}
    result = run(logits_of, [prompt], s)
    scores_of = plain_scores(logits_of, prompt, s)
    texts = [
        text
        for size in range(1, room + 1)
        for text in product(range(vocab), repeat=size)
        if not set(text[:-1]) & set(eos) and (size == room or text[-1] in eos)
    ]
    assert sorted(map(tuple, result.new_tokens)) == sorted(texts)
    exact, slack = [], []
    for text, got in zip(result.new_tokens, result.sequence_scores, strict=True):
        each = [Fraction(scores_of((0, *text[:at]), Counter())[t]) for at, t in enumerate(text)]
        exact.append(sum(each) / Fraction(len(text)) ** length_penalty)
        slack.append((len(text) + 1) * UNIT * abs(exact[-1]) * (1 + 2**-40))
        assert abs(Fraction(got) - exact[-1]) <= slack[-1]
    for one, two, of_one, of_two in zip(exact, exact[1:], slack, slack[1:], strict=False):
        assert one + of_one >= two - of_two


@given(problem=problems())
def test_one_beam_is_greedy(problem):
    logits_of, prompts, s = problem
    plain = {name: s[name] for name in ("eos_token_id", "min_new_tokens", "stop_strings")}
    result = run(logits_of, prompts, {**plain, "max_length": 5, "num_beams": 1})
    for row, prompt in enumerate(prompts):
        told = {**plain, "eos": s["eos_token_id"], "max_length": 5}
        tokens, reason, _ = slow.decode_row(logits_of, prompt, told, spell=SPELLING)
        assert (result.sequences[row], result.stopped[row]) == (tokens, reason)


@given(problem=problems(), seed=st.integers(0, 2**32), data=st.data())
def test_other_ids_for_the_same_tokens_change_nothing_else(problem, seed, data):
    """Logits without ties, which ids would break."""
    _, prompts, s = problem
    vocab = 6
    new = data.draw(st.permutations(range(vocab)))
    s = {**s, "stop_strings": [], "logits_processor": ()}

    @functools.cache
    def logits_of(history):
        return np.random.default_rng([seed, *history]).normal(size=vocab).tolist()

    def renamed(history):
        logits = logits_of(tuple(new.index(token) for token in history))
        return [logits[new.index(token)] for token in range(vocab)]

    plain = run(logits_of, prompts, s)
    moved = [[new[token] for token in prompt] for prompt in prompts]
    other = run(renamed, moved, {**s, "eos_token_id": [new[token] for token in s["eos_token_id"]]})
    assert other.sequences == [[new[token] for token in row] for row in plain.sequences]
    assert (other.stopped, other.beam_indices) == (plain.stopped, plain.beam_indices)


def after(table):
    """Logits that depend on the last token alone, from a table of probabilities."""
    with np.errstate(divide="ignore"):
        logits = np.log(table)
    return lambda history: logits[history[-1]].tolist()


def test_by_hand():
    """The likeliest token does not begin the likeliest text.

    After 0: 1 (0.6) or 2 (0.4). After 1: the end, 3, with 0.5, else 1 or 2 (0.25 each). After 2: 1
    with 0.9, or the end with 0.1.
    """
    table = np.array([[0, 0.6, 0.4, 0], [0, 0.25, 0.25, 0.5], [0, 0.9, 0, 0.1], [1, 0, 0, 0]])
    s = {"num_beams": 2, "num_return_sequences": 2, "eos_token_id": 3, "max_new_tokens": 2}
    found = run(after(table), [[0]], s)
    assert found.sequences == [[0, 2, 1], [0, 1, 3]]
    assert found.stopped == ["length", "eos"]
    assert found.beam_indices == [[0, 1], [0, 0]]
    assert np.exp(2 * np.array(found.sequence_scores)).round(9).tolist() == [0.36, 0.3]


def test_only_the_first_ranks_may_end():
    """Beams 0 (0.5) and 1 (0.3) go on; the eos 2 (0.2) ranks third of a step of four candidates."""
    table = np.array([[0.5, 0.3, 0.2]] * 3)
    s = {"num_beams": 2, "num_return_sequences": 2, "eos_token_id": 2, "max_new_tokens": 1}
    assert run(after(table), [[0]], s).sequences == [[0, 0], [0, 1]]


def test_several_eos_ids_leave_as_many_beams_as_asked_for():
    """Three eos ids rank before 3 and 4, which both go on: of 2 · 2 candidates only 3 would."""
    table = np.zeros((5, 5))
    table[0], table[3, :4], table[4, 3] = [0.22, 0.22, 0.22, 0.2, 0.14], 0.25, 1
    s = {"num_beams": 2, "max_new_tokens": 2, "eos_token_id": [0, 1, 2], "early_stopping": "never"}
    assert run(after(table), [[0]], s).new_tokens == [[4, 3]]


def test_more_beams_than_tokens_and_fewer_texts_than_asked_for():
    s = {"num_beams": 5, "num_return_sequences": 5, "max_new_tokens": 1}
    found = run(after(np.array([[0.5, 0.5], [0, 0]])), [[0], [1]], s)
    assert found.sequences == [[0, 0], [0, 1], [1]]
    assert found.prompts == [0, 0, 1]
    assert found.stopped == ["length", "length", "no_candidates"]
    assert (found.sequence_scores[2], found.logprobs[2], found.beam_indices[2]) == (0.0, [], [])


def test_the_length_that_counts_is_of_the_new_tokens():
    """A longer prompt with the same continuation scores the same."""
    s = {"num_beams": 2, "max_new_tokens": 3, "eos_token_id": 1, "length_penalty": 2.0}
    table = np.array([[0.6, 0.1, 0.3]] * 3)
    one, two = run(after(table), [[0], [0] * 9], s).sequence_scores
    assert one == two
    assert round(one, 9) == round(3 * np.log(0.6) / 9, 9)


@pytest.mark.parametrize(
    ("early", "expected"), [(True, [0, 1]), (False, [0, 1]), ("never", [0, 2])]
)
def test_when_a_search_stops(early, expected):
    """Two end at once, with 0.45 and 0.35; 2, with 0.2, goes on for certain, to 0.2 of length 4.

    log 0.2 / 4 is more than log 0.45 / 1.
    """
    table = np.zeros((5, 5))
    table[0, [1, 3, 2]] = [0.45, 0.35, 0.2]
    table[2, 4] = table[4, 4] = 1
    s = {"num_beams": 2, "max_new_tokens": 4, "eos_token_id": [1, 3], "early_stopping": early}
    found = run(after(table), [[0]], s)
    assert found.sequences[0][:2] == expected


def test_columns_past_the_vocabulary_are_never_chosen():
    s = {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 2}
    found = run(lambda history: [0.0, 1.0, 9.0, 9.0], [[0]], s, vocab_size=2)
    assert sorted(found.new_tokens) == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_the_plain_search_is_plain():
    """Worked out by hand, so that the two searches do not err together."""
    table = {(0,): [0.0, -1.0], (0, 0): [-3.0, -3.0], (0, 1): [-0.5, -4.0]}
    found = slow_beams.search([0], lambda tokens, taken: table[tokens], {"num_beams": 2}, room=2)
    assert [each.text.new for each in found] == [(1, 0), (0, 0)]
    assert [each.score for each in found] == [-0.75, -1.5]
