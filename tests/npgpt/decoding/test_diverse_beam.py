"""Diverse beam search against a plain one, beam search, and itself."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._beam import beam_search
from npgpt.decoding._decoders import prepare, start
from npgpt.decoding._diverse_beam import diverse_beam_search, diversity
from npgpt.decoding._generation import of_hypotheses
from npgpt.decoding._language_model import batched
from npgpt.decoding._scoring import Row
from npgpt.decoding._settings import Settings
from tests.helpers.beam_problems import (
    assert_equal,
    assert_right,
    assert_rows_do_not_matter,
    problems,
    run,
    spell,
)
from tests.helpers.toy_language_model import Toy


@given(problem=problems(groups=True), data=st.data())
def test_equals_a_plain_search_can_be_retraced_and_keeps_prompts_apart(problem, data):
    assert_right(problem)
    assert_rows_do_not_matter(problem, data.draw(st.permutations(range(len(problem[1])))))


@given(problem=problems())
def test_one_group_is_beam_search(problem):
    logits_of, prompts, s = problem
    request = prepare(prompts, Settings(**s, output_scores=True), decode=spell)
    one, other = (
        search(start(request, batched(Toy(logits_of))))
        for search in (diverse_beam_search, beam_search)
    )
    assert_equal(of_hypotheses(request, one), of_hypotheses(request, other))


def test_by_hand():
    """Groups of one beam. 0 has 0.5, 1 has 0.3, 2 has 0.2, whatever came before, and λ = 1.

    First group: 0, 0. Second: 0 is now at log 0.5 − 1 < log 0.3, so 1; and again, 1. Third: 0 is
    at −1.69, 1 at −2.2, 2 at −1.61: 2; and again.
    """
    s = {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 1.0, "max_new_tokens": 2}
    logits = np.log([0.5, 0.3, 0.2])
    found = run(lambda history: logits.tolist(), [[0]], {**s, "num_return_sequences": 3})
    assert found.new_tokens == [[0, 0], [1, 1], [2, 2]]
    assert np.array_equal(np.round(np.exp(found.sequence_scores), 12), [0.5, 0.3, 0.2])
    assert found.beam_indices == [[0, 0], [1, 1], [2, 2]]


def test_the_penalty_enters_the_totals():
    """Two groups, one token that is possible: both take it, the second at 0 − λ · 1."""
    s = {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 0.5, "max_new_tokens": 1}
    found = run(lambda history: [-np.inf, 0.0], [[0]], {**s, "num_return_sequences": 2})
    assert found.sequences == [[0, 1], [0, 1]]
    assert found.sequence_scores == [0.0, -0.5]


def test_a_group_that_is_over_and_tokens_that_end_a_text_count_nothing():
    """Token 1 is the eos. The first group ends with it and is over; the second is not lowered."""
    s = {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 9.0, "max_new_tokens": 2}
    logits = np.log([0.01, 0.99])
    found = run(
        lambda history: logits.tolist(),
        [[0]],
        {**s, "num_return_sequences": 2, "eos_token_id": 1, "early_stopping": True},
    )
    assert found.sequences == [[0, 1], [0, 1]]
    assert found.sequence_scores[0] == found.sequence_scores[1]


def test_diversity_leaves_what_is_infinite():
    scores = np.array([[-np.inf, np.inf, 1.0]])
    lowered = diversity([Row([7], 1)], scores, penalty=1e308, taken={(0, 0): {0: 3, 1: 3}})
    np.testing.assert_array_equal(lowered, scores)
