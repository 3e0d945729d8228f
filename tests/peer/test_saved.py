"""What npgpt saves, transformers loads; what transformers saves, in any form, npgpt loads."""

import numpy as np
import pytest
import torch

import npgpt
from npgpt._config import Config
from npgpt.checkpoints._saving import save
from npgpt.model._parameters import from_arrays, to_arrays
from oracle.bounds._compare import excess
from oracle.bounds._noise import measure
from oracle.strategies._weights import build_weights
from tests.helpers.transformers_gpt2 import VERSION, build, logits_of, open_folder, plain_weights

ROW = [5, 0, 12, 3]
TIED = {
    "vocab_size": 13,
    "n_positions": 6,
    "n_embd": 6,
    "n_layer": 2,
    "n_head": 3,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}
ODD = TIED | {
    "tie_word_embeddings": False,
    "n_inner": 7,
    "activation_function": "silu",
    "layer_norm_epsilon": 1e-3,
    "scale_attn_weights": False,
    "scale_attn_by_inverse_layer_idx": True,
}
# Since version 5 transformers writes safetensors only; torch.save wrote what others have.
FORMS = ["safetensors", "sharded", "bin"] + ["sharded bin"] * (VERSION[0] == 4)
CONFIGS = pytest.mark.parametrize("config", [TIED, ODD], ids=["tied", "odd"])
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])


@CONFIGS
@DTYPES
def test_transformers_loads_what_npgpt_saves(config, dtype, tmp_path):
    known = Config(**config, bos_token_id=1, eos_token_id=(2, 4))
    parameters = from_arrays(build_weights("trained", 0, config), known)
    save(tmp_path, known, parameters, dtype=dtype)
    model = open_folder(tmp_path)  # which refuses missing and unexpected tensors
    assert {name: getattr(model.config, name) for name in config} == config
    assert model.generation_config.eos_token_id == [2, 4]
    gpt = npgpt.load(tmp_path, dtype=np.float64)
    arrays, found = plain_weights(model), to_arrays(gpt.parameters)
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    # Both compute in float64, and both round.
    allowed = 2 * measure(arrays, config, np.array(ROW), dtype="float64").allowed()
    assert excess(gpt.logits(ROW), logits_of(model, np.array([ROW])), allowed) <= 1


def test_absent_token_ids_stay_absent(tmp_path):
    """Else transformers takes 50256 for end of text."""
    known = Config(**TIED)
    save(tmp_path, known, from_arrays(build_weights("trained", 0, TIED), known))
    read = open_folder(tmp_path)
    assert (read.config.bos_token_id, read.config.eos_token_id) == (None, None)
    assert read.generation_config.eos_token_id is None


@CONFIGS
@DTYPES
@pytest.mark.parametrize("form", FORMS)
def test_npgpt_loads_what_transformers_saves(form, config, dtype, tmp_path):
    model = build(build_weights("trained", 1, config), config, dtype=getattr(torch, dtype))
    shards = {"max_shard_size": "1KB"} if "sharded" in form else {}
    if "bin" not in form:
        model.save_pretrained(tmp_path, **shards)
    elif VERSION[0] == 4:
        model.save_pretrained(tmp_path, safe_serialization=False, **shards)
    else:
        model.config.save_pretrained(tmp_path)
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert (len(list(tmp_path.glob("*index.json"))) == 1) == bool(shards)
    found = to_arrays(npgpt.load(tmp_path, dtype=np.float64).parameters)
    wanted = plain_weights(model.double())
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], array) for name, array in wanted.items())
