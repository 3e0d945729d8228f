import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.entropy_filters import eta_cutoff, top_h, typical_p
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import assert_same, by_row
from tests.helpers.score_rows import score_rows

INF = math.inf
SHARES = st.one_of(
    st.integers(1, 8).map(lambda eighths: eighths / 8), st.floats(0, 1, exclude_min=True)
)
CUTOFFS = st.floats(1e-6, 1, exclude_max=True)
LEAST = st.integers(1, 4)


@given(scores=score_rows(), alpha=SHARES, least=LEAST)
def test_top_h_equals_the_entropies_of_every_prefix(scores, alpha, least):
    scores.setflags(write=False)
    expected = by_row(slow.top_h, scores, alpha, least)
    assert_same(top_h(scores, alpha=alpha, min_tokens_to_keep=least), expected)


@given(scores=score_rows(), mass=SHARES, least=LEAST)
def test_typical_p_equals_sorting_by_exact_surprise(scores, mass, least):
    scores.setflags(write=False)
    expected = by_row(slow.typical_p, scores, mass, least)
    assert_same(typical_p(scores, mass=mass, min_tokens_to_keep=least), expected)


@given(scores=score_rows(), epsilon=CUTOFFS, least=LEAST)
def test_eta_cutoff_equals_comparing_with_the_exact_entropy(scores, epsilon, least):
    scores.setflags(write=False)
    expected = by_row(slow.eta_cutoff, scores, epsilon, least)
    assert_same(eta_cutoff(scores, epsilon=epsilon, min_tokens_to_keep=least), expected)


@pytest.mark.parametrize("exponent", [1, 2, 4])
def test_top_h_of_equal_tokens_keeps_that_many_bits(exponent):
    """2ⁿ equal tokens have n bits; a little over m of them leave 2ᵐ tokens, a little less fewer."""
    count = 2**exponent
    for bits in range(1, exponent):
        for alpha, kept in (((bits + 0.01) / exponent, 2**bits), ((bits - 0.01) / exponent, None)):
            result = top_h(np.zeros((1, count)), alpha=alpha)
            kept = kept or 2**bits - 1
            np.testing.assert_array_equal(result, [[0.0] * kept + [-INF] * (count - kept)])


@pytest.mark.parametrize(
    ("alpha", "kept"),
    # 1/2, 1/4, 1/8, 1/8 have 1.75 bits; 2/3, 1/3 have 0.918; 4/7, 2/7, 1/7 have 1.379.
    [
        (0.5, [0, 0, 1, 0]),
        (0.52, [0, 0, 1, 0]),
        (0.53, [1, 0, 1, 0]),
        (0.78, [1, 0, 1, 0]),
        (0.79, [1, 1, 1, 0]),  # equals in order of id
        (0.99, [1, 1, 1, 0]),
        (1.0, [1, 1, 1, 1]),
    ],
)
def test_top_h_by_hand_renormalises_each_prefix(alpha, kept):
    scores = np.log([[0.25, 0.125, 0.5, 0.125]])
    np.testing.assert_array_equal(top_h(scores, alpha=alpha), np.where(kept, scores, -INF))


@pytest.mark.skipif(np.log1p(3.0) != 2 * np.log1p(1.0), reason="log 4 is rounded otherwise here")
def test_top_h_keeps_what_is_exactly_even():
    result = top_h(np.zeros((1, 4)), alpha=0.5)
    np.testing.assert_array_equal(result, [[0.0, 0.0, -INF, -INF]])


@pytest.mark.parametrize(
    ("gap", "alpha", "kept"), [(37.0, 0.67, 3), (37.5, 0.65, 2), (50.0, 0.67, 3)]
)
def test_top_h_counts_masses_that_the_likeliest_would_swallow(gap, alpha, kept):
    """1, ε, ε, ε: H grows by a third with each ε, though 1 + ε is rounded to float64's steps."""
    scores = np.array([0.0, -gap, -gap, -gap])
    result = top_h(scores[None], alpha=alpha)
    np.testing.assert_array_equal(result[0], np.where(np.arange(4) < kept, scores, -INF))


def test_top_h_drops_what_has_underflowed_unless_off():
    scores = np.array([[0.0, -800.0]])
    np.testing.assert_array_equal(top_h(scores, alpha=0.99), [[0.0, -INF]])
    np.testing.assert_array_equal(top_h(scores, alpha=1.0), scores)


@pytest.mark.parametrize(
    ("mass", "kept"),
    # Surprises of 1, 2, 3, 3 bits are off from 1.75 by 0.75, 0.25, 1.25, 1.25.
    [
        (0.125, [1, 0, 0, 0]),  # the most typical is not the likeliest
        (0.24, [1, 0, 0, 0]),
        (0.26, [1, 0, 1, 0]),
        (0.74, [1, 0, 1, 0]),
        (0.76, [1, 1, 1, 0]),  # the one at which the mass is reached stays; equals by id
        (0.9, [1, 1, 1, 1]),
        (1.0, [1, 1, 1, 1]),
    ],
)
def test_typical_p_by_hand(mass, kept):
    scores = np.log([[2.0, 1.0, 4.0, 1.0]]) - np.log(8.0)
    np.testing.assert_array_equal(typical_p(scores, mass=mass), np.where(kept, scores, -INF))


def test_typical_p_keeps_at_least_the_most_typical_ones():
    scores = np.log([[0.25, 0.125, 0.5, 0.125]])
    result = typical_p(scores, mass=0.1, min_tokens_to_keep=2)
    np.testing.assert_array_equal(result, np.where([1, 0, 1, 0], scores, -INF))


def test_typical_p_of_one_keeps_what_is_too_unlikely_to_count():
    scores = np.array([[0.0, -800.0]])
    np.testing.assert_array_equal(typical_p(scores, mass=1.0), scores)


@pytest.mark.parametrize(
    ("epsilon", "kept"),
    # exp(-H) = 2^-1.75 = 0.2973: √ε times it crosses 1/8 at ε = 0.1768 and 1/4 at ε = 0.7071.
    [
        (0.12, [1, 1, 1, 1]),  # √ε · exp(-H) is 0.103
        (0.17, [1, 1, 1, 1]),
        (0.18, [1, 0, 1, 0]),
        (0.7, [1, 0, 1, 0]),
        (0.71, [0, 0, 1, 0]),
        (0.99, [0, 0, 1, 0]),
    ],
)
def test_eta_cutoff_by_hand(epsilon, kept):
    scores = np.log([[2.0, 1.0, 4.0, 1.0]]) - np.log(8.0)
    np.testing.assert_array_equal(eta_cutoff(scores, epsilon=epsilon), np.where(kept, scores, -INF))


@pytest.mark.parametrize("count", [2, 7, 300])
def test_eta_cutoff_keeps_all_equal_tokens(count):
    scores = np.full((1, count), 3.0)
    np.testing.assert_array_equal(eta_cutoff(scores, epsilon=0.999), scores)


def test_eta_cutoff_is_epsilon_where_that_is_smaller():
    """exp(-H) is 0.702, so √ε times it is 0.07 where ε is 0.01."""
    scores = np.log(np.array([[0.9, 0.09, 0.01]]))
    np.testing.assert_array_equal(eta_cutoff(scores, epsilon=0.0099), scores)
    result = eta_cutoff(scores, epsilon=0.0101)
    np.testing.assert_array_equal(result, np.where([1, 1, 0], scores, -INF))
