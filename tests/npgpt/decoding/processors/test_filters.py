import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from npgpt.decoding._processors.filters import epsilon_cutoff, min_p, temperature, top_k, top_p
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import assert_same, by_row
from tests.helpers.score_rows import score_rows

INF = math.inf
TEMPERATURES = st.one_of(
    st.sampled_from([1e-300, 1e-40, 0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 1e40]),
    st.floats(0, 1e300, exclude_min=True),
)
EIGHTHS = st.integers(1, 8).map(lambda eighths: eighths / 8)
SHARES = st.one_of(EIGHTHS, st.floats(0, 1, exclude_min=True))
CUTOFFS = st.one_of(
    st.integers(1, 7).map(lambda eighths: eighths / 8), st.floats(1e-6, 1, exclude_max=True)
)
LEAST = st.integers(1, 4)


@given(scores=score_rows(), value=TEMPERATURES)
def test_temperature_divides_and_never_loses_the_likeliest(scores, value):
    scores.setflags(write=False)
    result = temperature(scores, value=value)
    assert result.dtype == scores.dtype
    for row, got in zip(scores, result, strict=True):
        top = float(row.max())
        with np.errstate(over="ignore"):
            fits = not math.isfinite(top) or np.isfinite(scores.dtype.type(top / value))
            divided = [(float(z) - (0.0 if fits else top)) / value for z in row]
            expected = np.array(divided).astype(scores.dtype)
        np.testing.assert_array_equal(got, expected)
        assert got[row.argmax()] == got.max()
        assert math.isfinite(got.max()) == math.isfinite(top)


@given(scores=score_rows(), k=st.integers(1, 10), least=LEAST)
def test_top_k_equals_sorting(scores, k, least):
    scores.setflags(write=False)
    expected = by_row(slow.top_k, scores, k, least)
    assert_same(top_k(scores, k=k, min_tokens_to_keep=least), expected)


@given(scores=score_rows(), p=SHARES, least=LEAST)
def test_top_p_equals_adding_up_exact_probabilities(scores, p, least):
    scores.setflags(write=False)
    expected = by_row(slow.top_p, scores, p, least)
    assert_same(top_p(scores, p=p, min_tokens_to_keep=least), expected)


@given(scores=score_rows(), share=SHARES, least=LEAST)
def test_min_p_equals_comparing_exact_probabilities(scores, share, least):
    scores.setflags(write=False)
    expected = by_row(slow.min_p, scores, share, least)
    assert_same(min_p(scores, share=share, min_tokens_to_keep=least), expected)


@given(scores=score_rows(), epsilon=CUTOFFS, least=LEAST)
def test_epsilon_cutoff_equals_comparing_exact_probabilities(scores, epsilon, least):
    scores.setflags(write=False)
    expected = by_row(slow.epsilon_cutoff, scores, epsilon, least)
    assert_same(epsilon_cutoff(scores, epsilon=epsilon, min_tokens_to_keep=least), expected)


@given(count=st.integers(1, 300), kept=st.integers(1, 300), score=st.sampled_from([-7.5, 0.0, 1e4]))
def test_top_p_of_equal_tokens_keeps_the_first_ones(count, kept, score):
    """kept / count of equal tokens: rounding must not take one more, nor one less."""
    assume(kept < count)
    result = top_p(np.full((1, count), score), p=kept / count)
    np.testing.assert_array_equal(result, [[score] * kept + [-INF] * (count - kept)])


@pytest.mark.parametrize("count", [2, 3, 7, 10, 49, 300])
def test_equal_tokens_are_not_below_their_own_probability(count):
    scores = np.full((1, count), -7.5)
    np.testing.assert_array_equal(epsilon_cutoff(scores, epsilon=1 / count), scores)
    np.testing.assert_array_equal(min_p(scores, share=1.0), scores)
    above = epsilon_cutoff(scores, epsilon=np.nextafter(1 / count, 1))
    np.testing.assert_array_equal(above, [[-7.5] + [-INF] * (count - 1)])


@pytest.mark.parametrize(
    ("p", "kept"),
    [
        (0.25, [0, 1, 0, 0]),  # the likeliest alone crosses
        (0.5, [0, 1, 0, 0]),  # and reaches exactly
        (np.nextafter(0.5, 1), [1, 1, 0, 0]),  # equals in order of id
        (0.75, [1, 1, 0, 0]),
        (0.8, [1, 1, 0, 1]),
        (1.0, [1, 1, 0, 1]),
    ],
)
def test_top_p_by_hand(p, kept):
    scores = np.array([[0.0, np.log(2.0), -INF, 0.0]])  # 1/4, 1/2, 0, 1/4
    np.testing.assert_array_equal(top_p(scores, p=p), np.where(kept, scores, -INF))


def test_top_p_of_one_keeps_what_is_too_unlikely_to_count():
    scores = np.array([[0.0, -800.0]])
    np.testing.assert_array_equal(top_p(scores, p=1.0), scores)


@pytest.mark.parametrize(
    ("share", "kept"),
    [
        (0.0, [1, 1, 1, 1]),  # p < 0 is nobody's
        (0.3, [1, 1, 0, 1]),  # measured by the likeliest, 1/2, not by the whole
        (0.49, [1, 1, 0, 1]),
        (0.51, [0, 1, 0, 0]),
        (1.0, [0, 1, 0, 0]),
    ],
)
def test_min_p_by_hand(share, kept):
    scores = np.array([[0.0, np.log(2.0), np.log(0.25), 0.0]])
    np.testing.assert_array_equal(min_p(scores, share=share), np.where(kept, scores, -INF))


@pytest.mark.parametrize(
    ("epsilon", "kept"),
    [
        (0.24, [1, 1, 0, 1]),
        (0.26, [0, 1, 0, 0]),
        (0.9, [0, 1, 0, 0]),  # the likeliest stays however unlikely
    ],
)
def test_epsilon_cutoff_by_hand(epsilon, kept):
    scores = np.array([[0.0, np.log(2.0), -INF, 0.0]])
    result = epsilon_cutoff(scores, epsilon=epsilon)
    np.testing.assert_array_equal(result, np.where(kept, scores, -INF))
