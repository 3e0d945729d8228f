import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle.decoding._brute_force import cells
from oracle.decoding._choice import draw, highest
from oracle.strategies._toy_language_models import toy_language_models
from tests.helpers.device import DEVICE
from tests.helpers.toy_decoding import NARROW, of_toy

LAST = 1 - 2.0**-53  # the largest uniform


def tensor(*numbers):
    return torch.tensor(numbers, dtype=torch.float64, device=DEVICE)


def drawn(p, u):
    token, slack = draw(tensor(*p).log()[None], tensor(u))
    return token.item(), slack.item()


def test_highest_takes_the_lowest_id_among_equals():
    token, slack = highest(tensor(0.0, 2.0, 2.0, 1.0)[None])
    assert (token.item(), slack.item()) == (1, 0.0)


def test_highest_of_one_and_of_none():
    assert highest(tensor(3.0)[None])[0].tolist() == [0]
    assert highest(tensor(-math.inf)[None])[0].tolist() == [-1]
    assert highest(tensor(-math.inf, 1.0)[None])[1].item() == math.inf


@pytest.mark.parametrize(
    ("u", "token"), [(0.0, 1), (0.25 - 2.0**-54, 1), (0.25, 3), (0.5, 3), (LAST, 3)]
)
def test_draws_never_take_a_token_of_no_mass(u, token):
    assert drawn([0.0, 0.25, 0.0, 0.75, 0.0], u)[0] == token


def test_a_draw_from_nothing_is_none():
    assert drawn([0.0, 0.0], 0.5)[0] == -1


@given(toy_language_models())
def test_draws_as_exact_shares_do(toy):
    shares = cells(toy.probabilities([0]))
    scores = of_toy(toy).logits_of([[0]])
    for token, (first, end) in shares.items():
        inside = (end - first) / 2**20
        for u in (first + inside, (first + end) / 2, end - inside):
            assert draw(scores, tensor(float(u)))[0].item() == token


@given(toy_language_models(kinds=["small", "steep"]), st.integers(0, 2**32 - 1))
def test_the_draw_stays_within_the_slack(toy, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = of_toy(toy).logits_of([[0], [1]])
    u = torch.rand(2, generator=generator, dtype=torch.float64).to(DEVICE)
    moves = torch.empty(scores.shape, dtype=torch.float64).uniform_(-1, 1, generator=generator)
    token, slack = draw(scores, u)
    by = slack.clamp(max=10)[:, None] * (1 - NARROW)
    assert torch.equal(draw(scores + moves.sign().to(DEVICE) * by, u)[0], token)


def test_slack_is_half_the_distance_in_log_odds():
    _, slack = drawn([0.5, 0.5], 0.75)
    assert abs(slack - math.log(3) / 2) < NARROW
    assert drawn([0.5, 0.5], 0.5)[1] == 0
    assert drawn([0.0, 1.0], 0.5)[1] == math.inf
