"""Beam sampling draw for draw, and its distribution."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, reject
from scipy.stats import chisquare

from tests.helpers import slow_decoding as slow
from tests.helpers.beam_problems import (
    assert_right,
    assert_rows_do_not_matter,
    problems,
    run,
    some_uniforms,
)
from tests.helpers.toy_language_model import random_logits

FALSE_ALARM = 1e-6


@given(problem=problems(sampling=True))
def test_draws_what_a_plain_sampler_draws(problem):
    uniforms = some_uniforms(problem[1], problem[2])
    try:
        _, told = assert_right(problem, uniforms)
    except slow.UndecidedError:
        reject()
    for each in told:
        assert each.token is None or each.uniform in uniforms[each.row, each.step]
    assert_rows_do_not_matter(problem, list(reversed(range(len(problem[1])))))


@pytest.mark.parametrize("seed", range(5))
def test_temperature_0_is_beam_search(seed):
    logits_of, prompts = random_logits(seed, 5), [[0], [1, 2]]
    s = {"num_beams": 3, "max_new_tokens": 4, "eos_token_id": 1, "num_return_sequences": 3}
    drawn = run(logits_of, prompts, {**s, "do_sample": True, "temperature": 0})
    searched = run(logits_of, prompts, s)
    assert drawn.sequences == searched.sequences
    assert drawn.sequence_scores == searched.sequence_scores


@pytest.mark.parametrize("eos", [[], [0], [0, 1]])
def test_filters_keep_a_token_more_than_there_are_eos_ids(eos):
    """top_k=1 would leave one token a beam; with e eos ids 1 + e stay."""
    told = []
    s = {"do_sample": True, "top_k": 1, "num_beams": 2, "max_new_tokens": 1, "eos_token_id": eos}
    run(lambda history: [3.0, 2.0, 1.0, 0.0], [[3]], s, note=told.append)
    assert told[0].candidates("top_k").tolist() == list(range(1 + len(eos)))


LOGITS = {
    (): [0.0, 1.0, 0.5, -0.5],
    0: [1.0, 0, 0, 2],
    1: [0, 0, 0.5, 0],
    2: [2, 1, 0, 0],
    3: [0.0] * 4,
}


def shares_of_sets(weights, count):
    """Each set of `count` of them, and its probability when drawn without replacement."""
    shares = Counter()
    for order in permutations(range(len(weights)), count):
        share, left = 1.0, sum(weights)
        for index in order:
            share, left = share * weights[index] / left, left - weights[index]
        shares[frozenset(order)] += share
    return shares


def test_the_distribution_of_whole_searches():
    """Chi-squared over the pairs of texts returned; a right sampler fails one seed in a million.

    Two beams of two tokens, four draws a step. Pairs too rare to expect five of are taken together.
    """
    count, s = 2000, {"do_sample": True, "num_beams": 2, "num_return_sequences": 2}
    steps = {last: np.array(z) - np.log(np.exp(z).sum()) for last, z in LOGITS.items()}
    expected = Counter()
    # In the first step all four tokens are drawn, so the two best are the beams.
    beams = [int(token) for token in np.argsort(-steps[()])[:2]]
    totals = np.concatenate([steps[()][token] + steps[token] for token in beams])
    for chosen, share in shares_of_sets(np.exp(totals), 4).items():
        two = sorted(chosen, key=lambda index: (-totals[index], index))[:2]
        expected[tuple((beams[index // 4], index % 4) for index in two)] += share * count
    result = run(
        lambda history: LOGITS[history[-1] if len(history) > 1 else ()],
        [[0]] * count,
        {**s, "max_new_tokens": 2},
    )
    texts = [tuple(new) for new in result.new_tokens]
    found = Counter(zip(texts[::2], texts[1::2], strict=True))
    assert set(found) <= set(expected)
    rare = [pair for pair, number in expected.items() if number < 5]
    cells = [[pair] for pair in expected if pair not in rare] + ([rare] if rare else [])
    assert len(cells) >= 8
    observed = [sum(found[pair] for pair in cell) for cell in cells]
    hoped = [sum(expected[pair] for pair in cell) for cell in cells]
    assert chisquare(observed, hoped).pvalue > FALSE_ALARM
