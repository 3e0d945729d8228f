import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, floating_dtypes

from npgpt.checkpoints._finite import _CHUNK, is_finite, non_finite


@given(arrays(floating_dtypes(sizes=(16, 32, 64), endianness="="), st.integers(0, 9)))
def test_is_what_looking_at_every_number_says(array):
    assert is_finite(array) == bool(np.isfinite(array).all())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, _CHUNK - 1, _CHUNK, 2 * _CHUNK + 2])
def test_every_chunk_counts(bad, place):
    array = np.zeros(2 * _CHUNK + 3, np.float32)
    assert is_finite(array)
    array[place] = bad
    assert not is_finite(array)


def test_infinities_that_cancel():
    assert not is_finite(np.array([np.inf, -np.inf]))
    assert is_finite(np.full((3, 3), np.finfo(np.float32).max))


@pytest.mark.parametrize("release", [False, True])
def test_names_of_the_bad_ones_come_in_order(release):
    many = np.ones(_CHUNK + 1, np.float32)
    arrays = {
        "bfloat16": np.array([0x3F80, 0x7F80], np.uint16),
        "good": many,
        "late": np.append(many, np.nan),
        "none": np.ones((0, 3)),
        "matrix": np.array([[1, np.inf], [1, 1]], np.float16),
    }
    assert non_finite(arrays, release=release) == ["bfloat16", "late", "matrix"]
