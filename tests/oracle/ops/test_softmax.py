import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from oracle import bounds
from oracle.bounds._compare import excess
from oracle.ops._softmax import log_softmax, softmax
from oracle.strategies._arrays import arrays, logits
from tests.helpers import exact_ops

SHAPES = array_shapes(max_dims=2, max_side=7)
DTYPES = st.sampled_from([np.float32, np.float64])
TEMPERATURES = st.sampled_from([1.0, 0.0, 0.01, 0.7, 2.0, 1e4])
INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@given(data=st.data(), dtype=DTYPES, temperature=TEMPERATURES)
def test_is_the_formula_within_its_bound(name, data, dtype, temperature):
    x = data.draw(logits(SHAPES, dtype=dtype))
    found = globals()[name](torch.from_numpy(x), temperature=temperature)
    assert found.dtype == torch.from_numpy(x).dtype
    exact = exact_ops.by_row(lambda row: getattr(exact_ops, name)(row, temperature), x)
    if not temperature:  # the limit: only the greatest are left, and all alike
        top = x.max(-1, keepdims=True)
        x, temperature = np.where(x == top, 0, -np.inf).astype(dtype), 1.0
    allowed = getattr(bounds, name)(x, temperature=temperature, dtype=dtype)
    assert excess(found.numpy(), exact, allowed + exact_ops.stored(exact)) <= 1


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 0.5, 1.0, 3.0, INF])
@pytest.mark.parametrize(
    ("row", "mass"),
    [
        ([-INF, -INF], [0, 0]),
        ([INF, 0.0, INF, -INF], [0.5, 0, 0.5, 0]),
        ([INF, 3.0], [1, 0]),
        ([-INF, 3.0], [0, 1]),
        ([7.0, 7.0, -INF, 7.0, 7.0], [0.25, 0.25, 0, 0.25, 0.25]),
    ],
)
def test_infinities_are_limits(row, mass, temperature):
    x = torch.tensor(row)
    assert softmax(x, temperature=temperature).tolist() == mass
    logs = [math.log(p) if p else -INF for p in mass]
    found = log_softmax(x.double(), temperature=temperature).tolist()
    assert [f if math.isinf(f) else math.exp(f) for f in found] == [
        f if math.isinf(f) else math.exp(f) for f in logs
    ]


def test_an_infinite_temperature_levels_what_is_possible():
    x = torch.tensor([1.0, 1000.0, -INF, -5.0, 0.0])
    assert softmax(x, temperature=INF).tolist() == [0.25, 0.25, 0, 0.25, 0.25]


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_nan_spoils_its_own_row_only(function, temperature):
    found = function(torch.tensor([[NAN, 1.0], [2.0, 2.0]]), temperature=temperature)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


@pytest.mark.parametrize("function", [softmax, log_softmax])
@pytest.mark.parametrize("bad", [-1.0, -INF, NAN])
def test_a_temperature_below_zero_or_nan_is_an_error(function, bad):
    with pytest.raises(ValueError, match=f"temperature is {bad}; give a number, 0 or more"):
        function(torch.zeros(2), temperature=bad)


@given(arrays(SHAPES, dtype=np.float64, kinds=["ordinary", "integers", "ties"]))
def test_adding_a_whole_number_to_integers_changes_nothing(x):
    x = torch.from_numpy(x).round()
    assert torch.equal(softmax(x), softmax(x + 3))
    assert torch.equal(log_softmax(x, temperature=0.5), log_softmax(x - 2, temperature=0.5))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_gradient_is_the_numeric_one(function, temperature):
    x = torch.tensor([[0.3, -1.2, 0.9], [2.0, 2.0, -0.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: function(x, temperature=temperature), [x])


def test_gradient_is_finite_where_entries_are_infinite():
    x = torch.tensor([[0.0, -INF, 1.0], [-INF, -INF, -INF]], requires_grad=True)
    (softmax(x) * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad[0, 0] < 0 < x.grad[0, 2]


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_runs_without_values_and_without_entries(function, temperature):
    out = function(torch.empty(2, 3, device="meta"), temperature=temperature)
    assert out.is_meta
    assert out.shape == (2, 3)
    assert function(torch.zeros(2, 0), temperature=temperature).shape == (2, 0)
    assert function(torch.zeros(0, 2), temperature=temperature).shape == (0, 2)
