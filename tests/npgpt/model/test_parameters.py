import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given

from npgpt._config import from_json
from npgpt.errors import CheckpointError
from npgpt.model._parameters import from_arrays, shapes, to_arrays
from oracle.strategies._configs import configs
from oracle.strategies._weights import build_weights, weight_shapes
from tests.helpers.small_gpt import CONFIG as SMALL
from tests.helpers.small_gpt import parameters
from tests.helpers.tiny_models import tiny_models

CONFIG = {
    "vocab_size": 5, "n_positions": 4, "n_embd": 4, "n_layer": 11, "n_head": 2, "n_inner": 3,
    "tie_word_embeddings": False,
}  # fmt: skip


@given(configs())
def test_names_and_shapes_are_those_of_a_checkpoint(config):
    assert shapes(from_json(config)) == weight_shapes(config)


@given(tiny_models())
def test_arrays_come_back_as_they_went_in_uncopied(model):
    arrays = {name: array.astype(model.dtype) for name, array in model.weights.items()}
    back = to_arrays(from_arrays(arrays, from_json(model.config)))
    assert back.keys() == arrays.keys()
    assert all(back[name] is arrays[name] for name in arrays)


def test_layers_stand_in_the_order_of_their_numbers():
    """Not 0, 1, 10, 2, as a file sorted by name has them."""
    arrays = build_weights("trained", 0, CONFIG)
    parameters = from_arrays(dict(sorted(arrays.items())), from_json(CONFIG))
    for layer, block in enumerate(parameters.h):
        assert block.mlp.c_proj.bias is arrays[f"h.{layer}.mlp.c_proj.bias"]


def test_a_tied_head_is_the_embedding_and_an_untied_one_is_not():
    arrays = build_weights("trained", 0, CONFIG)
    untied = from_arrays(arrays, from_json(CONFIG))
    assert untied.lm_head.weight is arrays["lm_head.weight"]
    del arrays["lm_head.weight"]
    tied = from_arrays(arrays, from_json(CONFIG | {"tie_word_embeddings": True}))
    assert tied.lm_head.weight is arrays["wte.weight"]


def test_one_error_names_every_tensor_that_is_wrong():
    arrays = build_weights("trained", 0, CONFIG)
    del arrays["h.3.ln_1.bias"], arrays["lm_head.weight"]
    arrays["h.11.ln_1.bias"] = np.zeros(4, np.float32)
    arrays["wpe.weight"] = np.zeros((9, 4), np.float32)
    arrays["h.0.attn.c_attn.weight"] = arrays["h.0.attn.c_attn.weight"].T
    with pytest.raises(CheckpointError) as caught:
        from_arrays(arrays, from_json(CONFIG))
    message = str(caught.value)
    for name in ("h.3.ln_1.bias", "lm_head.weight", "h.11.ln_1.bias"):
        assert name in message
    assert "(9, 4)" in message
    assert "(12, 4)" in message


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("wte.weight", np.int64),
        ("wte.weight", np.float64),
        ("wte.weight", np.int16),
        ("ln_f.bias", np.float16),
        ("h.1.mlp.c_fc.bias", np.uint16),
    ],
)
def test_tensors_of_another_dtype_are_refused(name, dtype):
    arrays = build_weights("trained", 0, CONFIG)
    arrays[name] = arrays[name].astype(dtype)
    with pytest.raises(CheckpointError, match=np.dtype(dtype).name):
        from_arrays(arrays, from_json(CONFIG))


@pytest.mark.parametrize("kept", [np.float16, np.uint16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrices_may_be_kept_in_16_bits(kept, dtype):
    arrays = {
        name: array.astype(kept if array.ndim > 1 else dtype)
        for name, array in build_weights("trained", 0, CONFIG).items()
    }
    parameters = from_arrays(arrays, from_json(CONFIG))
    assert parameters.dtype == dtype
    back = to_arrays(parameters)
    assert all(back[name] is arrays[name] for name in arrays)


def test_the_tree_is_frozen():
    parameters = from_arrays(build_weights("trained", 0, CONFIG), from_json(CONFIG))
    with pytest.raises(dataclasses.FrozenInstanceError):
        parameters.wte = None
    with pytest.raises(dataclasses.FrozenInstanceError):
        parameters.h[0].mlp.c_fc.weight = None


def test_a_tree_is_shown_in_a_few_lines_and_equal_to_itself_alone():
    one, other = parameters(SMALL), parameters(SMALL)
    for node in (one, one.h[0], one.h[0].attn, one.h[0].mlp.c_fc, one.wte):
        assert len(repr(node)) < 400
        assert node == node
        assert len({node, node}) == 1
    assert one != other
    assert re.search(r"wte=Embedding\(\d+ × \d+, float64\), .* h=\d+ blocks, ", repr(one))


def test_parameters_equal_themselves_alone():
    one, other = parameters(SMALL), parameters(SMALL)
    assert one == one
    assert one != other
    assert len({one, other}) == 2
