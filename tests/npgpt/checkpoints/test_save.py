import dataclasses
import errno
import json
import os

import numpy as np
import pytest
import safetensors.numpy
import torch

from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._saving import STORAGE, save
from npgpt.errors import CheckpointError, SettingError
from npgpt.model._parameters import from_arrays, to_arrays
from npgpt.tokenizer._training import train
from tests.helpers.checkpoint_making import TINY, UNTIED, random_arrays, random_parameters


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("config", [TINY, UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize("dtype", STORAGE)
def test_what_is_saved_is_opened_again(tmp_path, config, dtype):
    arrays = random_arrays(config)
    save(tmp_path / "new" / "folder", config, from_arrays(arrays, config), dtype=dtype)
    checkpoint = load_checkpoint(tmp_path / "new" / "folder", dtype=np.float64)
    assert checkpoint.config == config
    assert {entry.dtype for entry in checkpoint.listing.tensors} == {dtype}
    found = to_arrays(checkpoint.parameters)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        expected = torch.from_numpy(array).to(getattr(torch, dtype)).double().numpy()
        assert np.array_equal(found[name], expected)


def test_names_are_those_of_hugging_face(tmp_path):
    save(tmp_path, UNTIED, random_parameters(UNTIED))
    names = set(safetensors.numpy.load_file(tmp_path / "model.safetensors"))
    assert "lm_head.weight" in names
    assert "transformer.h.1.attn.c_attn.weight" in names
    assert names == {
        n if n == "lm_head.weight" else f"transformer.{n}" for n in random_arrays(UNTIED)
    }
    save(tmp_path, TINY, random_parameters(TINY))
    names = set(safetensors.numpy.load_file(tmp_path / "model.safetensors"))
    assert names == {f"transformer.{n}" for n in random_arrays(TINY)}


def test_the_json_files(tmp_path):
    config = dataclasses.replace(TINY, eos_token_id=(5, 6), bos_token_id=0)
    save(tmp_path, config, random_parameters(config), dtype="float16")
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["architectures"] == ["GPT2LMHeadModel"]
    assert written["torch_dtype"] == "float16"
    assert written["eos_token_id"] == [5, 6]
    generation = json.loads((tmp_path / "generation_config.json").read_text())
    assert generation == {"bos_token_id": 0, "eos_token_id": [5, 6]}


def test_everything_in_the_folder(tmp_path):
    config = dataclasses.replace(TINY, vocab_size=260)
    save(tmp_path, config, random_parameters(config), train(["to be"], vocab_size=260))
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= set(
        contents(tmp_path)
    )
    assert not [name for name in contents(tmp_path) if name.startswith(".")]


def test_saving_over_the_files_that_are_mapped(tmp_path):
    save(tmp_path, TINY, random_parameters(TINY))
    checkpoint = load_checkpoint(tmp_path)
    doubled = from_arrays({n: 2 * a for n, a in to_arrays(checkpoint.parameters).items()}, TINY)
    save(tmp_path, TINY, doubled)
    for name, array in random_arrays(TINY).items():
        assert np.array_equal(to_arrays(checkpoint.parameters)[name], array)
        assert np.array_equal(to_arrays(load_checkpoint(tmp_path).parameters)[name], 2 * array)


@pytest.mark.parametrize("dtype", ["float8", "int8", "bool", "F32", ""])
def test_other_dtypes(tmp_path, dtype):
    with pytest.raises(SettingError, match=f"dtype is '{dtype}'; choose from float64, float32, "):
        save(tmp_path, TINY, random_parameters(TINY), dtype=dtype)


def test_a_weight_too_large_leaves_everything_as_it_was(tmp_path):
    save(tmp_path, TINY, random_parameters(TINY))
    before = contents(tmp_path)
    arrays = random_arrays(TINY)
    arrays["ln_f.bias"][2] = -7e4
    with pytest.raises(
        CheckpointError, match=r"'transformer.ln_f.bias': 70000.0 does not fit float16"
    ):
        save(tmp_path, TINY, from_arrays(arrays, TINY), dtype="float16")
    assert contents(tmp_path) == before


def test_parameters_of_another_config(tmp_path):
    with pytest.raises(CheckpointError, match=r"lm_head.weight is not expected"):
        save(tmp_path / "a", TINY, random_parameters(UNTIED))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("count", range(3))
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_an_interruption_leaves_everything_as_it_was(tmp_path, monkeypatch, count, error):
    save(tmp_path, TINY, random_parameters(TINY))
    before = contents(tmp_path)
    left = iter(range(count))

    def fail_later(_):
        if next(left, None) is None:
            raise error

    monkeypatch.setattr(os, "fsync", fail_later)
    with pytest.raises((CheckpointError, KeyboardInterrupt)):
        save(tmp_path, UNTIED, random_parameters(UNTIED))
    assert contents(tmp_path) == before


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        CheckpointError, match=r"file.*: cannot be written \((Not a dir|File exists)"
    ):
        save(tmp_path / "file", TINY, random_parameters(TINY))
