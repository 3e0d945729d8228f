import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._kernels.linear import linear
from npgpt._kernels.thresholds import SKINNY_GEMM_ROWS
from oracle import bounds
from oracle.ops._linear import linear as oracle_linear
from oracle.strategies._arrays import KINDS, arrays
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle
from tests.helpers.small_tiles import small_tiles

ROWS = st.integers(1, SKINNY_GEMM_ROWS + 2)
ORDERS = pytest.mark.parametrize("order", ["C", "F"])


@ORDERS
@given(st.data(), ROWS, st.integers(1, 12), st.integers(1, 14), DTYPES)
def test_a_product_in_tiles_is_the_oracles(order, data, rows, n, m, dtype):
    """Also where the last tile is narrower, and where a matrix is less than one tile."""
    x, weight, bias = (
        data.draw(arrays(shape, dtype=dtype, kinds=tuple(KINDS)))
        for shape in ((rows, n), (n, m), (m,))
    )
    weight = np.asarray(weight, order=order)

    def ours(x, weight, bias):
        with small_tiles():
            return linear(x, weight, bias)

    def bound(x, weight, bias, *, dtype):
        # Partial sums, and the zeros that they start from, are one more addition each.
        return bounds.linear(np.pad(x, ((0, 0), (0, 9))), np.pad(weight, ((0, 9), (0, 0))), bias,
                             dtype=dtype)  # fmt: skip

    held_to_oracle(ours, oracle_linear, bound, [x, weight, bias])


@ORDERS
@pytest.mark.parametrize("rows", [2, 5, SKINNY_GEMM_ROWS])
def test_at_the_true_sizes_too(order, rows):
    rng = np.random.default_rng(0)
    x, weight, bias = (
        rng.standard_normal(shape, np.float32) for shape in ((rows, 768), (768, 2301), (2301,))
    )
    weight = np.asarray(weight, order=order)
    held_to_oracle(linear, oracle_linear, bounds.linear, [x, weight, bias])


@ORDERS
@pytest.mark.parametrize("rows", [1, 2, SKINNY_GEMM_ROWS, SKINNY_GEMM_ROWS + 1])
def test_the_same_call_gives_the_same_bits(order, rows):
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((rows, 500)), rng.standard_normal((500, 700))
    weight = np.asarray(weight, order=order)
    with small_tiles():
        first = linear(x, weight, None)
        assert all(np.array_equal(linear(x, weight, None), first) for _ in range(20))


@pytest.mark.parametrize("rows", [2, SKINNY_GEMM_ROWS])
def test_each_row_is_used_for_itself(rows):
    """A planted row shows where it ends up, exactly."""
    weight = np.arange(40.0 * 60).reshape(40, 60)
    for order in "CF":
        with small_tiles():
            y = linear(np.eye(40)[:rows], np.asarray(weight, order=order), None)
        assert np.array_equal(y, weight[:rows])
