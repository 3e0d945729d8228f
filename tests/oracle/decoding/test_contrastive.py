import math

import pytest
import torch
from hypothesis import assume, given

from oracle.decoding._contrastive import nearest_cosine
from oracle.decoding._decoders import generate
from oracle.strategies._decoding_problems import decoding_problems
from tests.helpers.device import DEVICE
from tests.helpers.toy_decoding import NARROW, least_margin, solve, table, whole_texts

VECTORS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]]).double().to(DEVICE)


def model(p):
    return table(lambda row: p, hidden=lambda rows: [VECTORS[list(row)] for row in rows])


def first(p, prompt, **settings):
    found = generate(model(p), [prompt], {"max_new_tokens": 1, **settings})
    return found.sequences[0][-1]


@pytest.mark.parametrize(
    ("alpha", "k", "token"),
    [
        (0.1, 4, 0),  # 0.9 · 0.5 - 0.1 = 0.35 beats 0.27
        (0.2, 4, 2),  # 0.8 · 0.15 + 0.2 = 0.32 beats 0.2, 0.24 and 0.04
        (0.2, 2, 1),  # of the first two 0.24 beats 0.2
        (1.0, 4, 2),  # unlike all: the cosine is -1
        (1.0, 2, 1),
    ],
)
def test_worked_by_hand(alpha, k, token):
    p = [0.5, 0.3, 0.15, 0.05]
    assert first(p, [0], penalty_alpha=alpha, top_k=k) == token


def test_the_nearest_of_all_earlier_tokens_counts():
    p = [0.4, 0.0, 0.6, 0.0]
    assert first(p, [2, 1], penalty_alpha=0.5, top_k=2) == 0  # 2 is there already
    assert first(p, [0, 1], penalty_alpha=0.5, top_k=2) == 2
    # 0 is there once; that the others are its opposite makes up for nothing.
    assert first([0.6, 0.4, 0.0, 0.0], [0, 2, 2], penalty_alpha=0.5, top_k=2) == 1


def test_equals_go_to_the_likelier_then_to_the_lower_id():
    zero = lambda rows: [VECTORS[[3] * len(row)] for row in rows]  # noqa: E731
    zeros = table(lambda row: [0.2, 0.4, 0.4], hidden=zero)
    settings = {"max_new_tokens": 1, "top_k": 3}
    for alpha in (1.0, 0.5):
        found = generate(zeros, [[0]], settings | {"penalty_alpha": alpha})
        assert found.sequences == ((0, 1),)


def test_candidates_are_exactly_k_and_never_ruled_out():
    p = [0.3, 0.3, 0.3, 0.1]
    assert first(p, [0], penalty_alpha=1.0, top_k=2) == 1  # 2, tied with them, is not among them
    assert first([1.0, 0.0, 0.0, 0.0], [0], penalty_alpha=1.0, top_k=4) == 0


def test_cosine_of_a_zero_vector():
    hidden = torch.tensor([[0.0, 0.0], [3.0, 4.0]], device=DEVICE)
    assert nearest_cosine(hidden).item() == 0
    assert nearest_cosine(hidden.flip(0)).item() == 0


@whole_texts
@given(decoding_problems("contrastive search"))
def test_without_a_penalty_it_is_greedy(problem):
    greedy = {k: v for k, v in problem.settings.items() if k not in ("top_k", "penalty_alpha")}
    expected = solve(problem, settings=greedy)
    assume(least_margin(expected) > NARROW)
    # So little that only what is equally likely could be told apart by it.
    found = solve(problem, settings=problem.settings | {"penalty_alpha": math.ulp(0.0)})
    assert found.sequences == expected.sequences
