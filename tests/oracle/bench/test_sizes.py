"""The random checkpoints are GPT-2s as others read them, and their costs are counted right."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from oracle import model
from oracle.bench._checkpoint import STD, checkpoint
from oracle.bench._sizes import SIZES, config, flops, matrices, shapes, weights_streamed

TINY, SMALL = SIZES["tiny"], SIZES["small"]


@pytest.mark.parametrize("size", [TINY, SMALL])
def test_shapes_are_those_of_the_config(size):
    named = {f"transformer.{name}": shape for name, shape in model.shapes(config(size)).items()}
    assert shapes(size) == named


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_checkpoint_holds_every_tensor(dtype, tmp_path):
    folder = checkpoint(tmp_path, TINY, dtype)
    tensors = load_file(folder / "model.safetensors")
    assert {name: tensor.shape for name, tensor in tensors.items()} == shapes(TINY)
    assert {tensor.dtype.name for tensor in tensors.values()} == {dtype}
    assert json.loads((folder / "config.json").read_text())["n_layer"] == TINY.layers
    matrix = tensors["transformer.wte.weight"].astype(np.float64)
    # The mean square of n normal numbers has a relative standard deviation of sqrt(2 / n).
    assert abs((matrix**2).mean() / STD**2 - 1) < 6 * np.sqrt(2 / matrix.size)
    assert checkpoint(tmp_path, TINY, dtype) == folder
    assert [path.name for path in tmp_path.iterdir()] == [f"tiny-{dtype}"], "no draft is left"


def test_costs_of_a_token():
    linear = [s for n, s in shapes(TINY).items() if ".h." in n and len(s) == 2]
    assert sorted(matrices(TINY)) == sorted(linear)
    head = TINY.vocab * TINY.embd
    assert weights_streamed(TINY) == sum(a * b for a, b in linear) + head
    # One token looks at itself: two products of embd numbers a layer.
    one = 2 * weights_streamed(TINY) + 2 * 2 * TINY.embd * TINY.layers
    assert flops(TINY, 1) == one
    assert flops(TINY, 3) == 2 * 3 * (weights_streamed(TINY) - head) + 2 * head + (
        2 * 2 * (1 + 2 + 3) * TINY.embd * TINY.layers
    )
