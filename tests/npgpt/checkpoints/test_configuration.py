"""The config, where config.json, the weights' own file, or both state it."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from npgpt._config import to_json
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._npz import write_npz
from npgpt.checkpoints._weights import locate
from npgpt.errors import CheckpointError, ConfigError
from tests.helpers.checkpoint_making import TINY, UNTIED, random_arrays
from tests.helpers.dialects import linear, prefixed


def put(folder, config=TINY, beside=None, **own):
    fields = {n: v for n, v in (to_json(config) | own).items() if v is not ...}
    write_npz(folder / "model.npz", random_arrays(config), fields, dtype="float32")
    if beside is not None:
        (folder / "config.json").write_text(json.dumps(beside))
    return folder


@pytest.mark.parametrize("config", [TINY, UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize("name", ["", "model.npz"])
def test_the_file_s_own(tmp_path, config, name):
    assert load_checkpoint(put(tmp_path, config) / name).config == config


@pytest.mark.parametrize(
    "beside",
    [
        to_json(TINY),
        {"n_head": 2},
        {"n_inner": 16},
        {"layer_norm_epsilon": float(np.float32(1e-5))},
        {"activation_function": "gelu_pytorch_tanh"},
        {"eos_token_id": None, "model_type": "gpt2", "attn_pdrop": 0.1},
    ],
    ids=str,
)
def test_both_where_they_agree(tmp_path, beside):
    opened = load_checkpoint(put(tmp_path, TINY, beside, eos_token_id=3)).config
    assert opened.eos_token_id == 3
    for name, value in beside.items():
        if value is not None and hasattr(opened, name):
            assert getattr(opened, name) == value


def test_each_fills_in_what_the_other_does_not_say(tmp_path):
    folder = put(tmp_path, TINY, {"n_head": 2, "bos_token_id": 1}, n_head=..., eos_token_id=[2, 3])
    config = load_checkpoint(folder).config
    assert (config.n_head, config.bos_token_id, config.eos_token_id) == (2, 1, (2, 3))


@pytest.mark.parametrize(
    ("own", "beside", "said"),
    [
        ({}, {"n_head": 4}, "n_head is 4 in config.json and 2 in the file"),
        (
            {},
            {"activation_function": "gelu"},
            "is 'gelu' in config.json and 'gelu_new' in the file",
        ),
        ({}, {"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon is 1e-06 in config.json and 1e-05"),
        ({}, {"tie_word_embeddings": False}, "is False in config.json and True in the file"),
        ({}, {"scale_attn_weights": False}, "scale_attn_weights is False in config.json and True"),
        ({"eos_token_id": 3}, {"eos_token_id": 4}, "eos_token_id is 4 in config.json and 3 in"),
        ({"eos_token_id": 3}, {"eos_token_id": [3, 4]}, "eos_token_id is a tuple in config.json"),
        ({"n_inner": 16}, {"n_inner": 8}, "n_inner is 8 in config.json and 16 in the file"),
    ],
)
def test_both_where_they_differ(tmp_path, own, beside, said):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(put(tmp_path, TINY, beside, **own))
    assert str(caught.value).startswith(f"{tmp_path / 'model.npz'}: ")
    assert said in str(caught.value)
    assert "or remove config.json" in str(caught.value)


@pytest.mark.parametrize(
    ("own", "beside", "file", "said"),
    [
        ({"model_type": "llama"}, None, "model.npz", "model_type is 'llama'"),
        ({"n_layer": -1}, None, "model.npz", "n_layer is -1"),
        ({"n_head": 3}, None, "model.npz", "n_head = 3 does not divide"),
        ({"n_embd": "4"}, None, "model.npz", "n_embd is '4'"),
        ({}, {"n_head": 3}, "config.json", "n_head = 3 does not divide"),
        ({"n_head": 0}, {}, "config.json", "n_head is 0"),
    ],
)
def test_bad_ones(tmp_path, own, beside, file, said):
    with pytest.raises(ConfigError) as caught:
        load_checkpoint(put(tmp_path, TINY, beside, **own))
    assert str(caught.value).startswith(f"{tmp_path / file}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("rename", "more"), [(prefixed, ""), (linear, ', "activation_function": "gelu"')]
)
def test_none_at_all_says_what_is_needed(tmp_path, rename, more):
    np.savez(tmp_path / "weights.npz", **rename(random_arrays(TINY)))
    wanted = f'"vocab_size": 7, "n_positions": 5, "n_embd": 4, "n_layer": 2{more}, "n_head": N}}'
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: no config.json here; it says the model's")
    assert wanted in str(caught.value)
    text = "{" + wanted.replace("N}", "2}")
    (tmp_path / "config.json").write_text(text)
    assert load_checkpoint(tmp_path).config.n_head == 2


def test_one_file_of_weights_is_found_whatever_its_name(tmp_path):
    (tmp_path / "config.json").touch()
    (tmp_path / "other.bin").write_bytes(b"PK\3\4")
    (tmp_path / "pipe").mkdir()
    for name in ("a.gguf", "b.npz", "ckpt.pt"):
        (tmp_path / name).touch()
        assert locate(tmp_path) == locate(tmp_path / "config.json") == tmp_path / name
        (tmp_path / name).unlink()
    (tmp_path / "gpt2_124M.bin").write_bytes(struct.pack("<2i", 20240326, 3))
    assert locate(tmp_path) == tmp_path / "gpt2_124M.bin"
    (tmp_path / "model.safetensors").touch()
    assert locate(tmp_path) == tmp_path / "model.safetensors"


def test_several_files_of_weights(tmp_path):
    for name in ("a.gguf", "b.npz"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=r"holds 'a.gguf', 'b.npz'; which is meant\? give"):
        locate(tmp_path)
    assert locate(tmp_path / "b.npz") == tmp_path / "b.npz"


def test_a_link_that_leaves_the_folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (folder / "a.npz").symlink_to("../secret")
    with pytest.raises(CheckpointError, match="link leaves its folder"):
        locate(folder)


def test_tensorflow_s_index_is_found_by_the_folder_and_by_its_prefix(tmp_path):
    (tmp_path / "model.ckpt.index").touch()
    (tmp_path / "hparams.json").touch()
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt"\n')
    for name in ("", "model.ckpt", "model.ckpt.index", "checkpoint", "hparams.json"):
        assert locate(tmp_path / name) == tmp_path / "model.ckpt.index"
    (tmp_path / "a.gguf").touch()
    assert locate(tmp_path) == tmp_path / "a.gguf"


def test_openai_s_release_as_tensorflow_wrote_it():
    folder = Path(__file__).parent / "tensorflow" / "samples" / "gpt2"
    checkpoint = load_checkpoint(folder)
    assert checkpoint.listing.dialect == "OpenAI"
    found = {entry.name for entry in checkpoint.listing.tensors}
    assert {"model/wte", "model/h0/attn/c_attn/w", "model/ln_f/g"} <= found
    assert checkpoint.config.n_layer == len({n for n in found if n.endswith("/mlp/c_fc/w")})
