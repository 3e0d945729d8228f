from fractions import Fraction

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle import bounds as bound
from oracle.bounds._compare import excess
from oracle.ops._linear import linear
from oracle.strategies._arrays import arrays
from tests.helpers import exact_ops

SIDE = st.integers(1, 6)
DTYPES = st.sampled_from([np.float32, np.float64])


@given(st.data(), SIDE, SIDE, SIDE, DTYPES)
def test_is_the_sum_of_products_and_the_bias(data, rows, width, out, dtype):
    draw = data.draw
    x, weight, bias = (draw(arrays(s, dtype=dtype)) for s in ((rows, width), (width, out), (out,)))
    # Exact sums: Python's fractions of the very numbers.
    exact = _exact(x, weight, bias)
    found = linear(*map(torch.from_numpy, (x, weight, bias)))
    assert found.dtype == torch.from_numpy(x).dtype
    allowed = bound.linear(x, weight, bias, dtype=dtype)
    assert excess(found.numpy(), exact, allowed + exact_ops.stored(exact)) <= 1


def _exact(x, weight, bias):
    def total(row, column, b):
        terms = (Fraction(float(p)) * Fraction(float(q)) for p, q in zip(row, column, strict=True))
        return float(sum(terms, Fraction(float(b))))

    columns = list(zip(weight.T, bias, strict=True))
    return np.array([[total(row, column, b) for column, b in columns] for row in x])


def test_the_weight_has_its_inputs_in_rows():
    x, weight = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 5.0]])
    assert linear(x, weight).tolist() == [[[1, 2, 13]]]
    assert linear(x, weight, torch.tensor([10.0, 20.0, 30.0])).tolist() == [[[11, 22, 43]]]


def test_gradients_are_the_transposed_products():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    weight = torch.tensor([[5.0], [7.0]], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    linear(x, weight, bias).sum().backward()
    assert x.grad.tolist() == [[5, 7], [5, 7]]
    assert weight.grad.tolist() == [[4], [6]]
    assert bias.grad.tolist() == [2]


def test_runs_without_values():
    x, weight, bias = (torch.empty(s, device="meta") for s in ((2, 5, 3), (3, 4), (4,)))
    out = linear(x, weight, bias)
    assert out.is_meta
    assert out.shape == (2, 5, 4)
