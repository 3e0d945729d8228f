import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from oracle.bounds import _activation as bounds
from oracle.bounds._compare import excess
from oracle.ops._activation import ACTIVATIONS, relu, silu
from oracle.ops._gelu import gelu, gelu_new
from oracle.strategies._arrays import KINDS, arrays
from tests.helpers import exact_ops

SHAPES = array_shapes(max_dims=2, max_side=9)
DTYPES = st.sampled_from([np.float32, np.float64])


def test_names_are_the_configuration_s():
    assert {
        "gelu": gelu,
        "gelu_new": gelu_new,
        "gelu_pytorch_tanh": gelu_new,
        "relu": relu,
        "silu": silu,
        "swish": silu,
    } == ACTIVATIONS


@given(st.data(), DTYPES)
def test_silu_is_the_formula_within_its_bound(data, dtype):
    x = data.draw(arrays(SHAPES, dtype=dtype))
    found = silu(torch.from_numpy(x))
    assert found.dtype == torch.from_numpy(x).dtype
    exact = exact_ops.elementwise(exact_ops.silu, x)
    assert excess(found.numpy(), exact, bounds.silu(x, dtype=dtype) + exact_ops.stored(exact)) <= 1


@given(st.data(), DTYPES)
def test_relu_is_exact(data, dtype):
    x = data.draw(arrays(SHAPES, dtype=dtype, kinds=tuple(KINDS)))
    assert np.array_equal(relu(torch.from_numpy(x)).numpy(), np.where(x > 0, x, 0))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_runs_without_values_and_has_a_gradient(name):
    out = ACTIVATIONS[name](torch.empty(2, 3, device="meta"))
    assert out.is_meta
    assert out.shape == (2, 3)
    x = torch.tensor([-2.5, -0.5, 0.5, 2.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ACTIVATIONS[name], [x])
