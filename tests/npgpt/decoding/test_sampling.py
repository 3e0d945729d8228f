from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from scipy.stats import chisquare

from npgpt.decoding._request import seed_uniforms
from npgpt.decoding._sampling import draw
from tests.helpers import slow_decoding as slow
from tests.helpers.score_rows import score_rows

LAST = float(np.nextafter(1.0, 0.0))
UNIFORMS = st.one_of(
    st.sampled_from([0.0, 5e-324, 0.5, LAST]),
    st.integers(0, 15).map(lambda k: k / 16),
    st.floats(0, 1, exclude_max=True),
)
FALSE_ALARM = 1e-6


@given(scores=score_rows(most_rows=1), uniform=UNIFORMS)
def test_equals_exact_shares(scores, uniform):
    row = scores[0].tolist()
    assume(max(row) > -np.inf)
    try:
        expected = slow.draw(row, uniform)
    except slow.UndecidedError:
        reject()
    assert draw(scores[0], uniform) == expected


@given(scores=score_rows(most_rows=1), uniform=UNIFORMS)
def test_what_is_ruled_out_is_never_drawn(scores, uniform):
    assume(scores.max() > -np.inf)
    assert scores[0, draw(scores[0], uniform)] > -np.inf


@pytest.mark.parametrize("uniform", [0.0, 0.25, 0.5, LAST])
@pytest.mark.parametrize("ends", [(0, 0), (3, 0), (0, 3), (2, 5)])
def test_impossible_tokens_at_the_ends_take_no_share(uniform, ends):
    scores = np.array([-np.inf] * ends[0] + [0.0] * 4 + [-np.inf] * ends[1])
    assert draw(scores, uniform) == ends[0] + int(4 * uniform)


@given(count=st.integers(1, 300), data=st.data())
def test_a_boundary_belongs_to_the_token_above_it(count, data):
    """Equal tokens, whose shares end at multiples of 1/count, rounded once."""
    token = data.draw(st.integers(0, count - 1))
    edge = token / count
    assert draw(np.zeros(count), edge) == token
    assert draw(np.zeros(count), float(np.nextafter(edge, 0.0))) == max(token - 1, 0)


@given(scores=score_rows(most_rows=1, most_tokens=60))
def test_the_largest_uniform_draws_the_last_possible_token(scores):
    """However the sums were rounded, 1 - 2^-53 must not fall past their end."""
    row = scores[0].tolist()
    assume(max(row) > -np.inf)
    weights = slow.relative(row)
    rest = sum(weights[draw(scores[0], LAST) + 1 :])
    assert rest <= sum(weights) * (1 - Fraction(LAST) + slow.rounding(row))


def test_frequencies():
    """Chi-squared; a right sampler fails one seed in a million, and this seed is fixed."""
    probabilities = np.array([0.4, 0.0, 0.3, 0.2, 0.1])
    with np.errstate(divide="ignore"):
        scores = np.log(probabilities)
    drawn = [draw(scores, u) for u in seed_uniforms(20240229, 1, 40_000)[0]]
    counts = np.bincount(drawn, minlength=5)
    assert counts[1] == 0
    possible = probabilities > 0
    expected = probabilities[possible] * len(drawn)
    assert chisquare(counts[possible], expected).pvalue > FALSE_ALARM
