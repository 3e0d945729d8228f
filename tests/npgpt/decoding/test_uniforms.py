import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from npgpt.decoding._request import checked_uniforms, seed_uniforms
from npgpt.errors import SettingError

FALSE_ALARM = 1e-6


@given(
    seed=st.integers(0, 2**70),
    rows=st.integers(0, 5),
    steps=st.integers(0, 9),
    more=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_a_row_is_a_prefix_of_itself_whatever_stands_beside_it(seed, rows, steps, more):
    few = seed_uniforms(seed, rows, steps)
    many = seed_uniforms(seed, rows + more[0], steps + more[1])
    assert few.shape == (rows, steps)
    assert few.dtype == np.float64
    assert ((few >= 0) & (few < 1)).all()
    np.testing.assert_array_equal(few, many[:rows, :steps])


def test_seeds_rows_and_steps_differ():
    drawn = [seed_uniforms(seed, 4, 50) for seed in (0, 1, 2**40)]
    assert len(np.unique(drawn)) == 3 * 4 * 50


def test_they_are_uniform():
    """Kolmogorov-Smirnov; true of all but one seed in a million, and this seed is fixed."""
    assert kstest(seed_uniforms(11, 100, 100).ravel(), "uniform").pvalue > FALSE_ALARM


@pytest.mark.parametrize("seed", [-1, 1.0, True, "7", None])
def test_a_bad_seed_is_quoted(seed):
    with pytest.raises(SettingError, match="seed is"):
        seed_uniforms(seed, 1, 1)


def test_more_steps_than_needed_are_welcome():
    given_ = np.float32([[0.25, 0.5, 0.75]])
    got = checked_uniforms(given_, rows=1, steps=2)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, given_)


@pytest.mark.parametrize(
    ("uniforms", "quoted"),
    [
        ([0.5, 0.5], "(2,)"),
        ([[0.5]], "(1, 1)"),
        ([[0.5, 0.5]] * 2, "(2, 2)"),
        ([[0.5, 1.0]], "1.0"),
        ([[0.5, -0.25]], "-0.25"),
        ([[0.5, np.nan]], "nan"),
        ([[True, False]], "True"),
        ([["a", "b"]], "'a'"),
        ([[0.5], [0.5, 0.5]], "[[0.5], [0.5, 0.5]]"),
        (None, "None"),
    ],
)
def test_bad_uniforms_are_quoted(uniforms, quoted):
    with pytest.raises(SettingError) as caught:
        checked_uniforms(uniforms, rows=1, steps=2)
    assert quoted in str(caught.value)
    assert "1 rows and 2 steps" in str(caught.value)


def test_a_wider_number_that_rounds_to_1_is_refused():
    below = np.nextafter(np.longdouble(1), np.longdouble(0))
    if float(below) < 1:
        pytest.skip("long double is float64 here")
    with pytest.raises(SettingError):
        checked_uniforms(np.array([[below]]), rows=1, steps=1)
