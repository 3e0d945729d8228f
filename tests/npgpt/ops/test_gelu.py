import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from npgpt._kernels.gelu import gelu_new as kernel
from npgpt.ops._gelu import gelu, gelu_new
from oracle import bounds
from oracle import ops as oracle_ops
from oracle.bounds._compare import excess
from oracle.strategies._arrays import LAYOUTS, arrays
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle

SHAPES = array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)
FORMS = pytest.mark.parametrize(
    "form", [gelu, gelu_new, kernel], ids=["gelu", "gelu_new", "gelu_new's kernel"]
)


@FORMS
@given(st.data(), st.sampled_from([1.0, 5.0, 12.0, 40.0]), DTYPES, st.sampled_from(LAYOUTS))
def test_gelu(form, data, scale, dtype, layout):
    x = data.draw(arrays(SHAPES, dtype=dtype))
    x *= dtype(scale)
    oracle_op = getattr(oracle_ops, form.__name__)
    held_to_oracle(form, oracle_op, getattr(bounds, form.__name__), [x], layout=layout)


@FORMS
@given(st.data(), DTYPES)
def test_numbers_near_overflow_stay_or_vanish(form, data, dtype):
    x = data.draw(arrays((9,), dtype=dtype, kinds=["near_overflow"]))
    assert np.array_equal(form(x), np.maximum(x, 0))


@FORMS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_limits_are_kept_unwarned(form, dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], dtype)
    assert np.array_equal(form(x), np.array([np.inf, 0, np.nan, 0, 0], dtype), equal_nan=True)


@FORMS
def test_a_single_number_needs_no_axis(form):
    assert form(np.array(0.0, np.float32)) == 0


def test_the_two_forms_differ():
    """By up to 4.8e-4: many times what either may round."""
    x = np.array([2.0], np.float32)
    assert excess(gelu_new(x), gelu(x), bounds.gelu(x, dtype=np.float32)) > 10
