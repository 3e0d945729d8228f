import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from oracle.bounds import _activation as bounds
from oracle.bounds._compare import excess
from oracle.ops._gelu import gelu, gelu_new
from oracle.strategies._arrays import arrays
from tests.helpers import exact_ops

SHAPES = array_shapes(max_dims=2, max_side=9)
DTYPES = st.sampled_from([np.float32, np.float64])


@pytest.mark.parametrize("name", ["gelu", "gelu_new"])
@given(data=st.data(), dtype=DTYPES)
def test_is_the_formula_within_its_bound(name, data, dtype):
    x = data.draw(arrays(SHAPES, dtype=dtype))
    found = {"gelu": gelu, "gelu_new": gelu_new}[name](torch.from_numpy(x))
    assert found.dtype == torch.from_numpy(x).dtype
    exact = exact_ops.elementwise(getattr(exact_ops, name), x)
    allowed = getattr(bounds, name)(x, dtype=dtype) + exact_ops.stored(exact)
    assert excess(found.numpy(), exact, allowed) <= 1


@pytest.mark.parametrize("function", [gelu, gelu_new])
def test_limits(function):
    x = torch.tensor([-math.inf, -100.0, 0.0, 100.0, math.inf, math.nan], dtype=torch.float64)
    low, far, zero, high, top, nan = function(x).tolist()
    # 0 times infinity: PyTorch follows the formula as it stands.
    assert low == 0 or math.isnan(low)
    assert (far, zero, high, top) == (0, 0, 100, math.inf)
    assert math.isnan(nan)


@given(arrays(SHAPES, dtype=np.float64, kinds=["ordinary", "integers", "heavy_tailed"]))
def test_the_two_halves_differ_by_x(x):
    """x Φ(x) + x Φ(-x) = x, that is f(x) - f(-x) = x, for both functions."""
    for function, bound in ((gelu, bounds.gelu), (gelu_new, bounds.gelu_new)):
        up, down = function(torch.from_numpy(x)).numpy(), function(torch.from_numpy(-x)).numpy()
        allowed = bound(x, dtype=np.float64) + bound(-x, dtype=np.float64)
        rounding = np.finfo(np.float64).eps / 2 * np.abs(up - down)
        assert excess(up - down, x, allowed + rounding) <= 1


@pytest.mark.parametrize("function", [gelu, gelu_new])
def test_gradient_is_the_numeric_one(function):
    x = torch.linspace(-3, 3, 13, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, [x])


@pytest.mark.parametrize("function", [gelu, gelu_new])
def test_runs_without_values(function):
    out = function(torch.empty(2, 3, device="meta"))
    assert out.is_meta
    assert out.shape == (2, 3)
