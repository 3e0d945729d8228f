import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from oracle.bounds._compare import excess
from oracle.bounds._linear import embedding, linear
from oracle.strategies._arrays import KINDS, arrays
from tests.helpers.rounded_sums import ORDERS, product

SIDES = st.integers(1, 9)
# How far the bound may lie above the largest error of an honest product of 64 ordinary terms:
# γ_65 counts the worst case of every rounding, a pairwise sum meets six with random signs.
SLACK = 100


def exact(x, weight, bias):
    with np.errstate(all="ignore"):
        return x.astype(np.float64) @ weight.astype(np.float64) + bias.astype(np.float64)


@given(st.data(), st.sampled_from([np.float16, np.float32]), st.sampled_from(ORDERS))
def test_no_order_of_summation_exceeds_the_bound(data, dtype, order):
    rows, n, m = (data.draw(SIDES) for _ in range(3))
    x, weight, bias = (
        data.draw(arrays(shape, dtype=dtype, kinds=tuple(KINDS)))
        for shape in ((rows, n), (n, m), (m,))
    )
    with np.errstate(all="ignore"):
        computed = product(x, weight, order) + bias
    allowed = linear(x, weight, bias, dtype=dtype)
    promised = np.isfinite(allowed)
    worst = excess(computed[promised], exact(x, weight, bias)[promised], allowed[promised])
    target(min(worst, 10.0))
    assert worst <= 1


@given(st.data())
def test_a_bound_is_promised_wherever_nothing_overflows(data):
    x, weight = data.draw(arrays((2, 5))), data.draw(arrays((5, 3)))
    assert np.isfinite(linear(x, weight, None, dtype=np.float64)).all()


def test_no_bound_where_the_order_decides_whether_a_sum_overflows():
    x = np.array([[3e38, 3e38, -3e38]], np.float32)
    assert linear(x, np.ones((3, 1), np.float32), None, dtype=np.float32) == np.inf


@pytest.mark.parametrize("order", ORDERS)
def test_the_bound_is_not_far_above_honest_errors(order):
    rng = np.random.default_rng(0)
    x, weight, bias = (
        rng.standard_normal(s).astype(np.float32) for s in ((20, 64), (64, 20), (20,))
    )
    computed = product(x, weight, order) + bias
    allowed = linear(x, weight, bias, dtype=np.float32)
    assert excess(computed, exact(x, weight, bias), allowed) > 1 / SLACK


def test_a_transposed_weight_and_a_forgotten_bias_exceed_it():
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((4, 8), (8, 8), (8,)))
    allowed = linear(x, weight, bias, dtype=np.float32)
    expected = exact(x, weight, bias)
    assert excess(x @ weight.T + bias, expected, allowed) > 1e5
    assert excess(x @ weight, expected, allowed) > 1e5


def test_operands_rounded_to_ten_bits_exceed_it():
    """TF32 keeps ten bits of each operand; errors near 2^-11 where float32 allows 2^-24."""
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(s).astype(np.float32) for s in ((20, 16), (16, 20)))
    cut = [a.astype(np.float16).astype(np.float32) for a in (x, weight)]
    allowed = linear(x, weight, None, dtype=np.float32)
    assert excess(cut[0] @ cut[1], exact(x, weight, np.zeros(20)), allowed) > 100


def test_looking_up_rows_is_exact():
    assert not embedding(np.zeros((2, 3), int), np.ones((5, 4)), dtype=np.float32).any()
    assert embedding(np.zeros((2, 3), int), np.ones((5, 4)), dtype=np.float32).shape == (2, 3, 4)
