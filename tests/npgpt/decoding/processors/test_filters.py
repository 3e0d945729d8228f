import math

import numpy as np
import pytest
import slow_decoding as slow
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from score_rows import score_rows

from npgpt.decoding.processors.filters import temperature, top_k, top_p

INF = math.inf
TEMPERATURES = st.one_of(
    st.sampled_from([1e-300, 1e-40, 0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 1e40]),
    st.floats(0, 1e300, exclude_min=True),
)
SHARES = st.one_of(
    st.integers(1, 8).map(lambda eighths: eighths / 8), st.floats(0, 1, exclude_min=True)
)


def rows_by(function, scores, *arguments):
    return np.array([function(row, *arguments) for row in scores.tolist()], dtype=scores.dtype)


@given(scores=score_rows(), value=TEMPERATURES)
def test_temperature_divides_and_never_loses_the_likeliest(scores, value):
    before = scores.copy()
    result = temperature(scores, value=value)
    np.testing.assert_array_equal(scores, before)
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


@given(scores=score_rows(), k=st.integers(1, 10))
def test_top_k_equals_sorting(scores, k):
    before = scores.copy()
    result = top_k(scores, k=k)
    np.testing.assert_array_equal(scores, before)
    assert result.dtype == scores.dtype
    np.testing.assert_array_equal(result, rows_by(slow.top_k, scores, k))


@given(scores=score_rows(), p=SHARES)
def test_top_p_equals_adding_up_exact_probabilities(scores, p):
    try:
        expected = rows_by(slow.top_p, scores, p)
    except slow.UndecidedError:
        reject()
    before = scores.copy()
    result = top_p(scores, p=p)
    np.testing.assert_array_equal(scores, before)
    assert result.dtype == scores.dtype
    np.testing.assert_array_equal(result, expected)


@given(count=st.integers(1, 300), kept=st.integers(1, 300), score=st.sampled_from([-7.5, 0.0, 1e4]))
def test_top_p_of_equal_tokens_keeps_the_first_ones(count, kept, score):
    """kept / count of equal tokens: rounding must not take one more, nor one less."""
    assume(kept < count)
    result = top_p(np.full((1, count), score), p=kept / count)
    np.testing.assert_array_equal(result, [[score] * kept + [-INF] * (count - kept)])


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
