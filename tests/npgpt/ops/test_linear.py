import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._kernels.linear import linear as kernel
from npgpt._kernels.thresholds import LONG_MATRIX_FIRST_ROWS
from npgpt.ops._linear import linear as formula
from oracle import bounds
from oracle.ops._linear import linear as oracle_linear
from oracle.strategies._arrays import KINDS, LAYOUTS, arrays
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle

FORMS = pytest.mark.parametrize("linear", [formula, kernel], ids=["formula", "kernel"])
SIDES = st.integers(1, 9)
ORDERS = pytest.mark.parametrize("order", ["C", "F"])  # of the weight in memory
LEADING = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@FORMS
@given(st.data(), LEADING, SIDES, SIDES, DTYPES, st.sampled_from(LAYOUTS), st.booleans())
def test_linear(linear, data, leading, n, m, dtype, layout, biased):
    x, weight, bias = (
        data.draw(arrays(shape, dtype=dtype, kinds=tuple(KINDS)))
        for shape in ((*leading, n), (n, m), (m,))
    )

    def ours(x, weight, bias):
        return linear(x, weight, bias if biased else None)

    def theirs(x, weight, bias):
        return oracle_linear(x, weight, bias if biased else None)

    def bound(x, weight, bias, *, dtype):
        return bounds.linear(x, weight, bias if biased else None, dtype=dtype)

    computed = held_to_oracle(ours, theirs, bound, [x, weight, bias], layout=layout)
    assert computed.shape == (*leading, m)


@FORMS
@given(st.data(), SIDES, DTYPES)
def test_a_square_weight_is_not_transposed(linear, data, n, dtype):
    """Row i of the identity picks row i of the weight, exactly."""
    weight = data.draw(arrays((n, n), dtype=dtype))
    assert np.array_equal(linear(np.eye(n, dtype=dtype), weight, np.zeros(n, dtype)), weight)


@FORMS
def test_overflow_gives_infinity_unwarned(linear):
    x = np.full((1, 2), 1e30, np.float32)
    assert linear(x, x.T, np.zeros(1, np.float32)) == np.inf


@FORMS
@ORDERS
@pytest.mark.parametrize("rows", [1, 9, LONG_MATRIX_FIRST_ROWS, LONG_MATRIX_FIRST_ROWS + 1])
def test_true_sizes(linear, order, rows):
    rng = np.random.default_rng(0)
    x, weight, bias = (
        rng.standard_normal(shape, np.float32) for shape in ((rows, 768), (768, 1001), (1001,))
    )
    weight = np.asarray(weight, order=order)
    held_to_oracle(linear, oracle_linear, bounds.linear, [x, weight, bias])
    first = linear(x, weight, bias)
    assert first.flags.c_contiguous
    assert all(np.array_equal(linear(x, weight, bias), first) for _ in range(20))


@FORMS
@ORDERS
@pytest.mark.parametrize("rows", [1, 9, LONG_MATRIX_FIRST_ROWS, LONG_MATRIX_FIRST_ROWS + 1])
def test_each_row_is_used_for_itself(linear, order, rows):
    """A planted row shows where it ends up, exactly."""
    weight = np.arange(70.0 * 60).reshape(70, 60)
    y = linear(np.eye(70)[:rows], np.asarray(weight, order=order), None)
    assert np.array_equal(y, weight[:rows])
