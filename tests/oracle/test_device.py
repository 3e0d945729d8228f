"""The oracle on the device under test is within the noise floor of its own float64 on the CPU."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle import model
from oracle.bounds._compare import excess
from oracle.bounds._noise import measure
from tests.helpers.device import DEVICE
from tests.helpers.tiny_models import rows, tiny_models, whole_models


def on_device(arrays, dtype):
    kind = getattr(torch, dtype)
    return {name: torch.tensor(array).to(DEVICE, kind) for name, array in arrays.items()}


def exact_in(arrays, dtype):
    """The weights rounded to the dtype, as float64: what both sides are given."""
    kind = getattr(torch, dtype)
    return {n: torch.tensor(a).to(kind).double().numpy() for n, a in arrays.items()}


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@whole_models
@given(st.data(), tiny_models())
def test_logits_are_within_the_noise_floor(dtype, data, drawn):
    row = data.draw(rows(drawn))
    weights = exact_in(drawn.weights, dtype)
    measured = measure(weights, drawn.config, row, dtype=dtype)
    tokens = torch.tensor(row, device=DEVICE)[None]
    found = model.logits(on_device(weights, dtype), drawn.config, tokens)
    assert found.device.type == DEVICE.type
    logits = found[0].double().cpu().numpy()
    assert excess(logits, measured.logits, measured.allowed()) <= 1


@whole_models
@given(st.data(), tiny_models(n_positions=6))
def test_going_on_from_the_past_is_the_same(data, drawn):
    row = data.draw(rows(drawn, least=2))
    cut = data.draw(st.integers(1, len(row) - 1))
    weights = on_device(drawn.weights, drawn.dtype)
    tokens = torch.tensor(row, device=DEVICE)[None]
    first = model.forward(weights, drawn.config, tokens[:, :cut])
    second = model.forward(weights, drawn.config, tokens[:, cut:], past=first.past)
    measured = drawn.measure(row)
    logits = torch.cat([first.logits, second.logits], 1)[0].double().cpu().numpy()
    assert excess(logits, measured.logits, measured.allowed()) <= 1
