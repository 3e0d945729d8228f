"""Whether a saved trace is of a model: each wrong number, each other model, is found."""

import dataclasses

import numpy as np
import pytest

from npgpt._gpt import GPT
from npgpt.audit import saved
from npgpt.checkpoints._safetensors import read_safetensors, write_safetensors
from npgpt.errors import CheckpointError, SettingError
from npgpt.model._parameters import from_arrays, to_arrays
from npgpt.trace import keys, label
from tests.helpers.small_gpt import CONFIG, parameters, small_gpt, small_gpt_in

PROMPT = "Shall I compare thee"


MODELS = {dtype: small_gpt_in(dtype) for dtype in ("float64", "float32")}


@pytest.fixture(scope="module", params=MODELS)
def trace(request, tmp_path_factory):
    gpt = MODELS[request.param]
    folder = tmp_path_factory.mktemp("trace")
    saved.save(folder, gpt, PROMPT)
    return gpt, folder


def test_the_models_own_trace_is_right(trace):
    gpt, folder = trace
    found = saved.verify(saved.load(folder), gpt)
    assert list(found) == keys(CONFIG.n_layer)
    assert max(found.values()) <= 1


@pytest.mark.parametrize("key", keys(CONFIG.n_layer), ids=lambda key: label(*key))
def test_one_wrong_number_is_found_where_it_stands(trace, tmp_path, key):
    gpt, folder = trace
    stored = read_safetensors(folder / "trace.safetensors")
    arrays = {name: np.array(tensor.data) for name, tensor in stored.items()}
    wrong = arrays[label(*key)]
    place = (0,) * wrong.ndim  # which each query may look at
    # Far more than rounding, and no more than would do to change what is predicted.
    wrong[place] += 0.25
    write_safetensors(tmp_path / "trace.safetensors", arrays)
    (tmp_path / "trace.json").write_bytes((folder / "trace.json").read_bytes())
    found = saved.verify(saved.load(tmp_path), gpt)
    assert found[key] > 1
    assert next(at for at, ratio in found.items() if ratio > 1) == key


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"n_layer": 1}, "n_layer is 2 in the trace and 1 in the model"),
        ({"activation_function": "relu"}, "activation_function is 'gelu_new' in the trace and 're"),
        ({"n_embd": 4, "layer_norm_epsilon": 1e-6}, "n_embd is 8 in the trace and 4 in the model"),
    ],
)
def test_a_trace_of_another_config_is_a_named_error(trace, config, said):
    _, folder = trace
    config = dataclasses.replace(CONFIG, **config)
    with pytest.raises(CheckpointError, match=said):
        saved.verify(saved.load(folder), GPT(config, parameters(config)))


def test_another_dtype_is_a_named_error(trace):
    gpt, folder = trace
    (other,) = [model for model in MODELS.values() if model is not gpt]
    with pytest.raises(CheckpointError, match="the trace was computed in float"):
        saved.verify(saved.load(folder), other)


def test_ids_of_special_tokens_are_nothing_to_a_pass(trace):
    gpt, folder = trace
    config = dataclasses.replace(CONFIG, bos_token_id=1, pad_token_id=2, eos_token_id=3)
    same = dataclasses.replace(gpt, config=config)
    assert max(saved.verify(saved.load(folder), same).values()) <= 1


@pytest.mark.parametrize("name", ["wte.weight", "wpe.weight", "h.1.attn.c_attn.bias"])
def test_a_trace_of_other_weights_is_found(trace, name):
    gpt, folder = trace
    arrays = {n: a + 1 if n == name else a for n, a in to_arrays(gpt.parameters).items()}
    other = dataclasses.replace(gpt, parameters=from_arrays(arrays, CONFIG))
    assert max(saved.verify(saved.load(folder), other).values()) > 1


def test_what_is_no_number_is_wrong_and_no_warning(tmp_path):
    gpt = MODELS["float32"]
    arrays = {n: a.copy() for n, a in to_arrays(gpt.parameters).items()}
    arrays["h.0.attn.c_attn.weight"][0, 0] = np.inf
    arrays["h.1.mlp.c_fc.bias"][0] = np.nan
    broken = dataclasses.replace(gpt, parameters=from_arrays(arrays, CONFIG))
    saved.save(tmp_path, broken, PROMPT)
    found = saved.verify(saved.load(tmp_path), broken)
    assert next(key for key, ratio in found.items() if ratio > 1) == ("pattern", 0)
    assert found["mlp_pre", 1] == np.inf


def test_a_part_of_a_trace_cannot_be_verified(tmp_path):
    gpt = small_gpt()
    saved.save(tmp_path, gpt, PROMPT, "resid_*")
    with pytest.raises(SettingError, match="no 'token_embedding' of layer None was recorded"):
        saved.verify(saved.load(tmp_path), gpt)
