import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

import oracle.ops._activation as oracle_ops
from npgpt._config import ACTIVATION_NAMES
from npgpt._kernels.activation import ACTIVATIONS as KERNELS
from npgpt.ops._activation import ACTIVATIONS, relu, silu
from oracle import bounds
from oracle.strategies._arrays import KINDS, LAYOUTS, arrays
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle

TABLES = pytest.mark.parametrize("table", [ACTIVATIONS, KERNELS], ids=["formulas", "kernels"])
SHAPES = array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)


def test_every_name_that_a_config_may_hold_has_a_function():
    assert set(ACTIVATIONS) == set(KERNELS) == set(ACTIVATION_NAMES)


@TABLES
@pytest.mark.parametrize("name", ACTIVATIONS)
@given(st.data(), st.sampled_from([1.0, 10.0, 90.0, 700.0]), DTYPES, st.sampled_from(LAYOUTS))
def test_every_name_is_the_oracles_function_of_that_name(table, name, data, scale, dtype, layout):
    x = data.draw(arrays(SHAPES, dtype=dtype))
    x *= dtype(scale)
    reference, bound = oracle_ops.ACTIVATIONS[name], bounds.ACTIVATIONS[name]
    held_to_oracle(table[name], reference, bound, [x], layout=layout)


@given(st.data(), DTYPES)
def test_relu_is_exact_everywhere(data, dtype):
    x = data.draw(arrays((9,), dtype=dtype, kinds=tuple(KINDS)))
    assert np.array_equal(relu(x), np.where(x > 0, x, 0))


@given(st.data(), DTYPES)
def test_silu_of_numbers_near_overflow_stays_or_vanishes(data, dtype):
    x = data.draw(arrays((9,), dtype=dtype, kinds=["near_overflow"]))
    assert np.array_equal(silu(x), np.maximum(x, 0))


@TABLES
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_limits_are_kept_unwarned(table, name, dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0.0], dtype)
    expected = np.array([np.inf, 0, np.nan, 0], dtype)
    assert np.array_equal(table[name](x), expected, equal_nan=True)
