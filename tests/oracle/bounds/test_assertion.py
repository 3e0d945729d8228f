"""An assertion whose failure names the place, both values and what rounding allows."""

import numpy as np
import pytest
import torch

from oracle.bounds import assert_within_rounding

REFERENCE = np.array([[1.0, 2.0], [3.0, 4.0]])


def test_what_is_within_passes_and_says_how_near_it_is():
    assert assert_within_rounding(REFERENCE + 0.25, REFERENCE, 0.5) == 0.5
    assert assert_within_rounding(REFERENCE.tolist(), REFERENCE, np.zeros((2, 2))) == 0.0
    assert assert_within_rounding(torch.tensor([1.5]).bfloat16(), [1.5], [0.0]) == 0.0
    assert assert_within_rounding(np.array(2.0), 2.0, 0.0) == 0.0


def test_no_number_is_within_anything():
    assert assert_within_rounding(np.zeros((0, 3)), np.zeros((0, 3)), 0.0) == 0.0


def test_equal_infinities_agree_and_nan_with_nan():
    odd = np.array([np.inf, -np.inf, np.nan])
    assert assert_within_rounding(odd, odd, 0.0) == 0.0


def test_where_nothing_is_promised_anything_goes():
    assert assert_within_rounding([np.nan, 1.0], [0.0, 1.0], [np.inf, 0.0]) == 0.0


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            REFERENCE + np.array([[0, 0], [3, 1.5]]),
            "at [1, 0] it is 6; expected 3, which rounding may move by 1: off by 3 times that; "
            "2 of 4 numbers are off by more than rounding allows",
        ),
        (
            REFERENCE + np.array([[0, np.nan], [0, 0]]),
            "at [0, 1] it is nan; expected 2, which rounding may move by 1; "
            "1 of 4 numbers is off by more than rounding allows",
        ),
        (REFERENCE - np.array([[np.inf, 0], [0, 0]]), "at [0, 0] it is -inf; expected 1, which"),
        (REFERENCE[0], "the answer has shape (2,); expected (2, 2)"),
        (REFERENCE[None], "the answer has shape (1, 2, 2); expected (2, 2)"),
        (REFERENCE > 1, "the answer is ndarray of dtype bool; expected an array of real numbers"),
        (REFERENCE + 0j, "of dtype complex128; expected an array of real numbers"),
        (None, "the answer is NoneType of dtype object; expected an array of real numbers"),
        (["1"], "the answer is list of dtype <U1; expected an array of real numbers"),
        ([[1.0], [2.0, 3.0]], "the answer is list, not an array"),
    ],
)
def test_what_is_off_is_told(answer, says):
    with pytest.raises(AssertionError) as caught:
        assert_within_rounding(answer, REFERENCE, 1.0)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nan_where_a_number_is_not_expected_is_told():
    with pytest.raises(AssertionError, match=r"at \[0\] it is 1; expected nan"):
        assert_within_rounding([1.0], [np.nan], 1.0)


def test_a_difference_where_none_is_allowed_is_told():
    with pytest.raises(AssertionError, match="expected 1, which rounding may move by 0;"):
        assert_within_rounding(1.5, 1.0, 0.0)


@pytest.mark.parametrize(
    ("reference", "bound", "says"),
    [
        (REFERENCE, [1.0, -0.5], "the bound holds -0.5; what rounding allows is 0 or more"),
        (REFERENCE, np.nan, "the bound holds nan"),
        (REFERENCE, np.ones((3, 2)), r"the bound has shape \(3, 2\), which does not broadcast to"),
        (REFERENCE, np.ones((1, 2, 2)), "does not broadcast to"),
        (REFERENCE, "loose", "the bound is str of dtype <U5"),
        ("none", 1.0, "the reference is str of dtype <U4"),
    ],
)
def test_a_reference_or_a_bound_that_cannot_be_right_is_a_mistake_of_the_test(
    reference, bound, says
):
    with pytest.raises(ValueError, match=says):
        assert_within_rounding(REFERENCE, reference, bound)
