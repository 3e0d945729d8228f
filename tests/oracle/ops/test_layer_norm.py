import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle import bounds as bound
from oracle.bounds._compare import excess
from oracle.ops._layer_norm import layer_norm
from oracle.strategies._arrays import arrays
from tests.helpers import exact_ops

DTYPES = st.sampled_from([np.float32, np.float64])
EPSILONS = st.sampled_from([1e-5, 1e-12, 1e-3])


@given(st.data(), st.integers(1, 3), st.integers(1, 9), DTYPES, EPSILONS)
def test_is_the_formula_within_its_bound(data, rows, width, dtype, eps):
    shapes = ((rows, width), (width,), (width,))
    x, weight, bias = (data.draw(arrays(shape, dtype=dtype)) for shape in shapes)
    exact = exact_ops.by_row(lambda *a: exact_ops.layer_norm(*a, eps), x, weight, bias)
    found = layer_norm(*map(torch.from_numpy, (x, weight, bias)), eps=eps)
    assert found.dtype == torch.from_numpy(x).dtype
    allowed = bound.layer_norm(x, weight, bias, eps=eps, dtype=dtype)
    assert excess(found.numpy(), exact, allowed + exact_ops.stored(exact)) <= 1


def test_small_cases_by_hand():
    one, zero = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    row = torch.tensor([1.0, 3.0], dtype=torch.float64)
    # Mean 2, biased variance 1: with eps 3 the divisor is 2.
    assert layer_norm(row, one, zero, eps=3.0).tolist() == [-0.5, 0.5]
    assert layer_norm(row, 4 * one, 10 + zero, eps=3.0).tolist() == [8, 12]
    assert layer_norm(zero, one, one, eps=1e-5).tolist() == [1, 1]


def test_gradient_is_the_numeric_one():
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(s, generator=generator, dtype=torch.float64) for s in ((2, 4), 4, 4)]
    inputs = [tensor.requires_grad_() for tensor in drawn]
    assert torch.autograd.gradcheck(lambda *a: layer_norm(*a, eps=1e-5), inputs)


def test_runs_without_values():
    x, weight, bias = (torch.empty(s, device="meta") for s in ((2, 5, 3), 3, 3))
    out = layer_norm(x, weight, bias, eps=1e-5)
    assert out.is_meta
    assert out.shape == (2, 5, 3)
