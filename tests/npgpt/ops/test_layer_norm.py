import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.ops._layer_norm import layer_norm
from oracle import bounds
from oracle.ops._layer_norm import layer_norm as oracle_layer_norm
from oracle.strategies._arrays import KINDS, LAYOUTS, arrays
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle

EPSILONS = st.sampled_from([1e-5, 1e-6, 1e-3, 1e-12, 0.0, 1e-300])
LEADING = st.lists(st.integers(0, 3), max_size=2).map(tuple)


@given(st.data(), LEADING, st.integers(1, 17), EPSILONS, DTYPES, st.sampled_from(LAYOUTS))
def test_layer_norm(data, leading, n, eps, dtype, layout):
    operands = [
        data.draw(arrays(shape, dtype=dtype, kinds=tuple(KINDS)))
        for shape in ((*leading, n), (n,), (n,))
    ]
    bound = bounds.layer_norm
    held_to_oracle(layer_norm, oracle_layer_norm, bound, operands, layout=layout, eps=eps)


@given(st.data(), st.integers(1, 9), DTYPES)
def test_a_constant_row_of_exact_sums_gives_the_bias(data, n, dtype):
    bias = data.draw(arrays((n,), dtype=dtype))
    row = np.full(n, data.draw(st.integers(-9, 9)), dtype)
    assert np.array_equal(layer_norm(row, np.ones(n, dtype), bias, eps=1e-5), bias)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_variance_and_no_epsilon_gives_nan_unwarned(dtype):
    one = np.ones(3, dtype)
    assert np.isnan(layer_norm(one, one, one, eps=0.0)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_spreads_over_its_row_only(bad):
    x = np.ones((2, 3), np.float32)
    x[0, 1] = bad
    computed = layer_norm(x, np.ones(3, np.float32), np.ones(3, np.float32), eps=1e-5)
    assert np.isnan(computed[0]).all()
    assert np.isfinite(computed[1]).all()
