import numpy as np
import pytest

from oracle.bounds._compare import excess

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("actual", "reference", "allowed", "expected"),
    [
        (1.0, 1.5, 0.25, 2.0),
        (1.5, 1.0, 0.25, 2.0),
        (1.0, 1.0, 0.0, 0.0),
        (1.0, 1.5, 0.0, INF),
        (INF, INF, 0.0, 0.0),
        (-INF, INF, 1.0, INF),
        (INF, 1.0, 1.0, INF),
        (1.0, INF, 1.0, INF),
        (NAN, NAN, 0.0, 0.0),
        (NAN, 1.0, 1.0, INF),
        (1.0, NAN, 1.0, INF),
        (7.0, 1.0, INF, 0.0),
        (INF, 1.0, INF, 0.0),
        (NAN, 1.0, INF, 0.0),
        (1.0, NAN, INF, 0.0),
    ],
)
def test_one_number(actual, reference, allowed, expected):
    assert excess(np.array([actual]), np.array([reference]), np.array([allowed])) == expected


def test_the_worst_element_counts():
    assert excess(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 3.1]), 0.5) == 1.0


def test_nothing_to_compare_is_no_excess():
    assert excess(np.zeros((0, 3)), np.zeros((0, 3)), 1.0) == 0


def test_float32_is_compared_in_float64():
    assert excess(np.array([1], np.float32), np.array([1 + 2.0**-40]), 2.0**-40) == 1


def test_a_missing_axis_is_no_match():
    with pytest.raises(ValueError, match=r"\(3,\).*\(1, 3\)"):
        excess(np.zeros(3), np.zeros((1, 3)), 1.0)
