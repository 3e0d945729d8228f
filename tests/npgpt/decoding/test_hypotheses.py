"""Scores of finished texts, and when a search may stop."""

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npgpt.decoding._beams import Beam, Hypothesis, best_first, decided, score
from npgpt.decoding._scoring import Row
from npgpt.decoding._settings import Settings

UNIT = Fraction(1, 2**53)
TOTALS = st.floats(-1e6, 1e6).filter(lambda total: total == 0 or abs(total) > 1e-6)


@given(total=TOTALS, length=st.integers(1, 1024), penalty=st.integers(-3, 3))
def test_the_score_is_the_quotient(total, length, penalty):
    """A power of whole numbers that is one itself is exact, its inverse and the quotient rounded.

    A power function may be off by a unit in the last place, two halves, besides.
    """
    exact = Fraction(total) / Fraction(length) ** penalty
    assert abs(Fraction(score(total, length, float(penalty))) - exact) <= 4 * UNIT * abs(exact)


@pytest.mark.parametrize("total", [-1.0, 0.0, 1.0, math.inf])
@pytest.mark.parametrize("penalty", [-1e9, -1.0, 0.0, 1e9])
@pytest.mark.parametrize("length", [0, 1, 9])
def test_no_score_is_nan_or_warns(total, penalty, length):
    if total == 0 or length:
        assert not math.isnan(score(total, length, penalty))


def beam(total, length, room=9, prompt=20):
    return Beam(Row([0] * (prompt + length), prompt, 0, prompt + room), total)


@example(worst=-4, totals=[-40], length=1, penalty=1.0)  # −40 / 9 is less; / 29 it would not be
@given(
    worst=st.integers(-40, 8),
    totals=st.lists(st.integers(-40, 8), min_size=1, max_size=3),
    length=st.integers(1, 9),
    penalty=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]),
)
def test_never_means_at_no_length_that_is_left(worst, totals, length, penalty):
    settings = Settings(num_beams=2, early_stopping="never", length_penalty=penalty)
    found = best_first([Hypothesis(beam(0.0, 1), float(s), "eos", 0) for s in (worst, worst + 1)])
    beams = [beam(float(total), length) for total in totals]
    hopes = [score(float(t), n, penalty) for t in totals for n in range(length, 10)]
    assert decided(found, beams, settings, width=2) == (max(hopes) <= worst)
    assert not decided(found[:1], beams, settings, width=2)


@given(scores=st.lists(st.integers(-3, 0), max_size=8))
def test_among_equals_the_earlier_is_first(scores):
    found = [Hypothesis(beam(0.0, 1), float(s), "eos", step) for step, s in enumerate(scores)]
    ranked = best_first(reversed(found))
    assert [(each.score, each.step) for each in ranked] == sorted(
        ((each.score, each.step) for each in found), key=lambda pair: (-pair[0], pair[1])
    )
