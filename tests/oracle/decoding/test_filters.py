import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle.decoding import _filters as filters
from oracle.decoding._brute_force import filtered
from oracle.strategies._toy_language_models import toy_language_models
from tests.helpers.device import DEVICE
from tests.helpers.toy_decoding import NARROW, of_toy

VALUES = {
    "top_h": [0.5, 0.9, 0.1],
    "top_k": [1, 2, 3, 9],
    "top_p": [0.5, 0.75, 0.9, 0.1],
    "min_p": [0.5, 0.1, 1.0],
    "typical_p": [0.5, 0.9, 0.1],
    "epsilon_cutoff": [0.25, 0.1, 0.6],
    "eta_cutoff": [0.25, 0.1, 0.6],
}
names = pytest.mark.parametrize("name", list(VALUES))


def logs(*p):
    return torch.tensor([p], dtype=torch.float64, device=DEVICE).log()


def kept(name, p, value, **options):
    found, _ = filters.FILTERS[name](logs(*p), value, **options)
    return [v for v in range(len(p)) if found[0, v] and p[v]]


@given(st.integers(0, 3), toy_language_models())
def test_keeps_what_exact_arithmetic_keeps(choice, toy):
    scores, p = of_toy(toy).logits_of([[0]]), toy.probabilities([0])
    for name, values in VALUES.items():
        value = values[choice % len(values)]
        found, slack = filters.FILTERS[name](scores, value)
        # Where rounding may decide, the cases worked by hand below say what is right.
        if slack[0] > NARROW or name == "top_k":
            exact = filtered(p, {name: value})
            assert [bool(f and q) for f, q in zip(found[0], p, strict=True)] == [
                q > 0 for q in exact
            ], name


@given(st.integers(0, 3), st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_nothing_changes_within_the_slack(choice, seed, least):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(4, 5, generator=generator, dtype=torch.float64).to(DEVICE)
    moves = torch.empty(4, 5, dtype=torch.float64).uniform_(-1, 1, generator=generator).sign()
    for name, values in VALUES.items():
        value = values[choice % len(values)]
        found, slack = filters.FILTERS[name](scores, value, least=least)
        by = slack.clamp(max=10)[:, None] * (1 - NARROW)
        again, _ = filters.FILTERS[name](scores + moves.to(DEVICE) * by, value, least=least)
        assert torch.equal(found, again), name


@pytest.mark.parametrize(
    ("name", "p", "value", "expected"),
    [
        ("top_k", [0.25, 0.25, 0.5], 2, [0, 1, 2]),  # ties with the k-th stay
        ("top_k", [0.25, 0.25, 0.5], 1, [2]),
        ("top_k", [0.25, 0.25, 0.5], 9, [0, 1, 2]),
        ("top_p", [0.25, 0.25, 0.5], 0.5, [2]),  # reached exactly
        ("top_p", [0.25, 0.25, 0.5], 0.6, [0, 2]),  # the one that crosses stays; equals by id
        ("top_p", [0.25, 0.25, 0.5], 1e-9, [2]),
        ("top_p", [0.25, 0.0, 0.75], 0.999, [0, 2]),
        ("min_p", [0.2, 0.3, 0.5], 0.5, [1, 2]),
        ("min_p", [0.5, 0.5], 1.0, [0, 1]),
        ("typical_p", [0.25, 0.25, 0.25, 0.25], 0.3, [0, 1]),
        ("typical_p", [0.5, 0.3, 0.2], 0.29, [1]),  # H = 1.03 and -log 0.3 = 1.2: most typical
        ("typical_p", [0.5, 0.3, 0.2], 0.31, [0, 1]),
        ("epsilon_cutoff", [0.2, 0.3, 0.5], 0.25, [1, 2]),
        ("epsilon_cutoff", [0.2, 0.3, 0.5], 0.9, [2]),
        ("eta_cutoff", [0.001, 0.499, 0.5], 0.1, [1, 2]),
        ("eta_cutoff", [0.25] * 4, 0.5, [0, 1, 2, 3]),  # sqrt(0.5) / 4 < 0.25 < 0.5
        ("top_h", [0.25] * 4, 0.5, [0, 1]),  # ln 2 of ln 4
        ("top_h", [0.25] * 4, 0.49, [0]),
        ("top_h", [1.0, 0.0], 0.1, [0]),
    ],
)
def test_cases_worked_by_hand(name, p, value, expected):
    assert kept(name, p, value) == expected


@names
def test_keeps_the_first_ones_asked_for(name):
    p = [0.05, 0.15, 0.7, 0.1]
    strict = {"top_k": 1, "top_p": 1e-3, "top_h": 1e-3, "min_p": 1.0, "typical_p": 1e-3}
    value = strict.get(name, 0.9)
    first, second = {"typical_p": (2, 1)}.get(name, (2, 1))
    assert kept(name, p, value) == [first]
    assert kept(name, p, value, least=2) == sorted([first, second])
    assert kept(name, p, value, least=9) == [0, 1, 2, 3]


@names
def test_rows_without_candidates_make_no_nan(name):
    scores = torch.full((1, 3), -math.inf, dtype=torch.float64, device=DEVICE)
    filters.FILTERS[name](scores, VALUES[name][0])


@pytest.mark.parametrize(
    ("name", "p", "value", "slack"),
    [
        ("top_k", [0.1, 0.2, 0.7], 2, math.log(2) / 2),
        ("top_p", [0.2, 0.8], 0.6, (math.log(4) - math.log(1.5)) / 2),
        ("min_p", [0.2, 0.8], 0.5, (math.log(4) - math.log(2)) / 2),
        ("epsilon_cutoff", [0.2, 0.8], 0.5, math.log(4) / 2),
    ],
)
def test_slack_is_the_distance_to_the_edge(name, p, value, slack):
    _, found = filters.FILTERS[name](logs(*p), value)
    assert abs(found.item() - slack) < NARROW
    # Moving one score down and one up by a little more does change what is kept.
    low, high = sorted(range(len(p)), key=lambda v: p[v])[:2]
    scores = logs(*p)
    before = filters.FILTERS[name](scores, value)[0]
    scores[0, low] += slack + NARROW
    scores[0, high] -= slack + NARROW
    assert not torch.equal(filters.FILTERS[name](scores, value)[0], before)
