"""Models whose matrices are kept in 16 bits."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._config import from_json
from npgpt._gpt import GPT
from npgpt._kernels.upcast import upcast
from npgpt.checkpoints._tensors import to_bfloat16
from npgpt.model._forward import forward
from npgpt.model._parameters import from_arrays
from oracle.bounds._compare import excess
from tests.helpers.small_tiles import small_tiles
from tests.helpers.tiny_models import rows, tiny_models, whole_models

LARGEST = 65504.0  # of float16


def kept_in_16_bits(model, kind):
    """Parameters with the matrices of a model in 16 bits, and the model of just those numbers."""

    def narrow(array):
        clipped = np.clip(array, -LARGEST, LARGEST)
        return clipped.astype(np.float16) if kind == "float16" else to_bfloat16(clipped)

    kept = {
        name: narrow(array) if array.ndim > 1 else array.astype(model.dtype)
        for name, array in model.weights.items()
    }
    wide = {n: upcast(a) if a.ndim > 1 else model.weights[n] for n, a in kept.items()}
    return from_arrays(kept, from_json(model.config)), dataclasses.replace(model, weights=wide)


KINDS = pytest.mark.parametrize("kind", ["float16", "bfloat16"])


@KINDS
@whole_models
@given(st.data(), tiny_models())
def test_the_logits_are_the_oracles(kind, data, model):
    parameters, model = kept_in_16_bits(model, kind)
    row = data.draw(rows(model))
    with small_tiles():
        output = forward(row[None], parameters, from_json(model.config))
    assert output.logits.dtype == output.hidden.dtype == model.dtype
    measured = model.measure(row)
    assert excess(output.logits[0], measured.logits, measured.allowed()) <= 1


@KINDS
@whole_models
@given(st.data(), tiny_models())
def test_going_on_from_a_cache_is_the_oracles(kind, data, model):
    """Several rows too, for which other models turn their weights over."""
    parameters, model = kept_in_16_bits(model, kind)
    row = data.draw(rows(model, least=1)).tolist()
    gpt = GPT(from_json(model.config), parameters)
    step = gpt.next_step([row[:1]] * 2, None)
    for token in row[1:]:
        step = gpt.next_step([[token]] * 2, step.state)
    measured = model.measure(np.array(row))
    for logits in step.logits:
        assert excess(logits[None], measured.logits[-1:], measured.allowed()) <= 1
