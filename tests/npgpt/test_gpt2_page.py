"""docs/gpt2.md: its GPT-2 is the model's, array for array.

Each is held to the float64 reference, within the noise floor of this very example, as the model's
own trace is: at toy sizes with random weights, and once at the size of the model that ships. It
states GPT-2 as released, so configs have no other activation function or scale.
"""

import re
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import npgpt
from npgpt._config import Config, from_json, to_json
from npgpt._gpt import GPT
from npgpt.model._parameters import to_arrays
from npgpt.trace import INSIDE_BLOCKS, OUTSIDE_BLOCKS, keys
from oracle.bounds._compare import excess
from oracle.bounds._noise import measure
from tests.helpers.device import DEVICE
from tests.helpers.documentation import ROOT, blocks
from tests.helpers.tiny_models import rows, tiny_models, whole_models

PAGE = ROOT / "docs" / "gpt2.md"
CODE = "\n".join(block.text for block in blocks(PAGE) if block.language == "python")
AS_RELEASED = {
    "activation_function": "gelu_new",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
}


def page():
    """What the page's code defines."""
    names = {}
    exec(compile(CODE, str(PAGE), "exec"), names)
    return names


GPT2 = page()["gpt2"]


@contextmanager
def local_variables(arrays):
    """Put into `arrays`, by name and layer, the local variables of each of the page's functions."""
    done = 0

    def on_event(frame, event, _):
        nonlocal done
        if event != "return" or frame.f_code.co_filename != str(PAGE):
            return
        for name, value in frame.f_locals.items():
            if name in OUTSIDE_BLOCKS:
                arrays[name, None] = value
            elif name in INSIDE_BLOCKS:
                arrays[name, done] = value
        done += frame.f_code.co_name == "block"

    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(None)


def held(weights, config, dtype, parameters, row):
    """Fail unless the page's arrays, and the trace's, are those of the reference."""
    arrays = {}
    # Where x³ overflows, tanh is 1 or −1 all the same.
    with np.errstate(over="ignore"), local_variables(arrays):
        logits = GPT2(row, parameters, from_json(config))
    trace = GPT(from_json(config), parameters).trace(row).arrays
    measured = measure(weights, config, row, dtype=dtype, device=DEVICE)
    assert set(arrays) == set(trace) == set(keys(config["n_layer"]))
    assert logits is arrays["logits", None]
    for key, array in arrays.items():
        assert array.dtype == dtype, key
        for computed in (array[None], trace[key]):
            assert excess(computed, measured.values[key], measured.allowed(*key)) <= 1, key


@whole_models
@given(st.data(), tiny_models(**AS_RELEASED))
def test_every_array_of_the_page_is_the_models(data, model):
    parameters, _ = model.arguments
    held(model.weights, model.config, model.dtype, parameters, data.draw(rows(model)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_the_model_that_ships_too(dtype):
    gpt = npgpt.load(dtype=dtype)
    weights = {name: np.asarray(a, np.float64) for name, a in to_arrays(gpt.parameters).items()}
    row = gpt.tokens("To be, or not to be: that is the question.")[0]
    held(weights, to_json(gpt.config), dtype, gpt.parameters, row)


def test_it_is_about_60_lines():
    """That a line holds code: neither blank, nor a definition's two blank lines."""
    assert 45 <= len([line for line in CODE.splitlines() if line.strip()]) <= 60


def test_the_sizes_of_gpt2_small_are_those_of_its_config():
    small = Config()
    text = PAGE.read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| (\w+) \| .* \| (?:up to )?(\d+) \|$", text, re.M))
    assert {axis: int(size) for axis, size in stated.items()} == {
        "query": small.n_positions,
        "key": small.n_positions,
        "embd": small.n_embd,
        "head": small.n_head,
        "head_dim": small.head_dim,
        "inner": small.inner,
        "vocab": small.vocab_size,
    }
