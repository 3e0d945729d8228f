import json

import numpy as np
import pytest
import torch

from npgpt._config import to_json
from npgpt.checkpoints._listing import list_tensors
from npgpt.checkpoints._loading import load
from npgpt.checkpoints._npz import write_npz
from npgpt.checkpoints._safetensors import write_safetensors
from npgpt.checkpoints._weights import FILE_NAMES, locate, read_weights
from npgpt.errors import CheckpointError
from tests.helpers.checkpoint_making import (
    TINY,
    random_arrays,
    safetensors_bytes,
    tensor_entry,
)

A, B = {"a": np.arange(3.0)}, {"b": np.ones((2, 2), np.float16), "c": np.zeros((), np.int64)}


def index(folder, weight_map, name="model.safetensors.index.json", **more):
    path = folder / name
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map, **more}))
    return path


@pytest.fixture
def sharded(tmp_path):
    write_safetensors(tmp_path / "one.safetensors", A)
    write_safetensors(tmp_path / "two.safetensors", B)
    index(tmp_path, {"b": "two.safetensors", "a": "one.safetensors", "c": "two.safetensors"})
    return tmp_path


def as_lists(weights):
    return {name: stored.data.tolist() for name, stored in weights.tensors.items()}


def test_the_order_of_looking(tmp_path):
    for name in reversed(FILE_NAMES):
        (tmp_path / name).touch()
        assert locate(tmp_path) == tmp_path / name


def test_files_stand_for_themselves_or_their_folder(tmp_path):
    for name in ("config.json", "vocab.bpe", "merges.txt", "model.safetensors", "other.bin"):
        (tmp_path / name).touch()
    for name in ("config.json", "vocab.bpe", "merges.txt", "model.safetensors"):
        assert locate(tmp_path / name) == tmp_path / "model.safetensors"
    assert locate(str(tmp_path / "other.bin")) == tmp_path / "other.bin"
    (tmp_path / "x.index.json").touch()
    assert locate(tmp_path / "x.index.json") == tmp_path / "x.index.json"


def test_nothing_there(tmp_path):
    with pytest.raises(
        CheckpointError, match=f"no weights here; looked for {', '.join(FILE_NAMES)}"
    ):
        locate(tmp_path)
    for path in (tmp_path / "nothing", "a\0b"):
        with pytest.raises(CheckpointError, match="no such file or folder; give a folder"):
            locate(path)


def test_weights_by_a_link_that_leaves_the_folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (folder / "model.safetensors").symlink_to("../secret")
    with pytest.raises(CheckpointError, match="link leaves its folder"):
        locate(folder)


def test_the_format_is_that_of_the_content(tmp_path):
    torch.save({"a": torch.arange(3.0, dtype=torch.float64)}, tmp_path / "model.safetensors")
    write_safetensors(tmp_path / "pytorch_model.bin", A)
    assert read_weights(tmp_path / "model.safetensors").form == "torch zip"
    assert read_weights(tmp_path / "pytorch_model.bin").form == "safetensors"
    assert as_lists(read_weights(tmp_path / "pytorch_model.bin")) == as_lists(
        read_weights(tmp_path)
    )


@pytest.mark.parametrize("length", [*range(256, 520, 8), 0x8080, 2**19 + 0x80])
def test_safetensors_whatever_the_length_of_their_header(tmp_path, length):
    # Other programs pad it to any multiple of 8; a pickle's first byte is 0x80.
    header = json.dumps({"a": tensor_entry()}).encode().ljust(length)
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(header, bytes(4)))
    assert as_lists(read_weights(tmp_path)) == {"a": [0.0]}


def test_the_old_format_of_torch(tmp_path):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "a.bin", _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / "a.bin").form == "torch legacy"
    assert as_lists(read_weights(tmp_path / "a.bin")) == {"a": [0, 1, 2]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS, not the file"),
        (bytes(257) + b"ustar\x0000" + bytes(248), "a tar archive"),
        (b"\x80\4}.", "a bare pickle; save model.state_dict"),
        (b"\x89HDF\r\n\x1a\n" + bytes(9), "an HDF5 file"),
        (b"<!DOCTYPE html>", "neither a safetensors file nor"),
        (b"x", "nor any other file of weights that npgpt knows; it starts with b'x'"),
        (b"", "the file is empty"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_what_is_taken_for_weights(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        read_weights(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert said in str(caught.value)


def test_shards(sharded):
    weights = read_weights(sharded)
    assert as_lists(weights) == {"a": [0, 1, 2], "b": [[1, 1], [1, 1]], "c": 0}
    names = [path.name for path in weights.files]
    assert names == ["model.safetensors.index.json", "two.safetensors", "one.safetensors"]
    assert weights.tensors["a"].file == sharded / "one.safetensors"


def test_shards_of_torch(tmp_path):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({"b": torch.ones(2)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    places = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
    index(tmp_path, places, "pytorch_model.bin.index.json")
    weights = read_weights(tmp_path)
    assert weights.form == "torch zip"
    assert as_lists(weights) == {"a": [0, 1, 2], "b": [1, 1]}


def test_what_parts_say_of_the_model_is_theirs_together(tmp_path):
    write_npz(tmp_path / "one.npz", A, {"n_head": 4, "n_layer": 2}, dtype="float64")
    write_npz(tmp_path / "two.npz", {"b": np.ones(2)}, {"n_head": 4, "n_embd": 8}, dtype="float32")
    write_safetensors(tmp_path / "three.safetensors", {"c": np.ones(1)})
    places = {"a": "one.npz", "b": "two.npz", "c": "three.safetensors"}
    index(tmp_path, places)
    weights = read_weights(tmp_path)
    assert weights.config == {"n_head": 4, "n_layer": 2, "n_embd": 8}
    assert weights.form == "npz and safetensors"
    write_npz(tmp_path / "two.npz", {"b": np.ones(2)}, {"n_head": 2}, dtype="float32")
    with pytest.raises(CheckpointError) as caught:
        read_weights(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'model.safetensors.index.json'}: n_head is 4 in 'one.npz' and 2 in "
        "'two.npz'; take all parts from one place"
    )


def test_config_json_has_to_agree_with_the_parts(tmp_path):
    arrays = random_arrays(TINY)
    write_npz(tmp_path / "one.npz", arrays, to_json(TINY), dtype="float32")
    index(tmp_path, dict.fromkeys(arrays, "one.npz"))
    assert load(tmp_path).config == TINY
    (tmp_path / "config.json").write_text(json.dumps(to_json(TINY) | {"n_head": 4}))
    with pytest.raises(CheckpointError, match=r"n_head is 4 in config.json and 2 in the file"):
        load(tmp_path)


ONE, TWO = "one.safetensors", "two.safetensors"
BAD_MAPS = {
    "no map": (None, "weight_map is None; expected an object of file names"),
    "a list": ([ONE], "weight_map is a list"),
    "a number": ({"a": 1}, "weight_map is a dict; expected an object of file names"),
    "parent": ({"a": "../one.safetensors"}, "'../one.safetensors' is not the name of a file"),
    "absolute": ({"a": "/etc/passwd"}, "'/etc/passwd' is not the name of a file"),
    "backslash": ({"a": "..\\one.safetensors"}, "is not the name of a file"),
    "drive": ({"a": "C:one.safetensors"}, "is not the name of a file"),
    "dot": ({"a": "."}, "'.' is not the name of a file"),
    "nothing": ({"a": ""}, "'' is not the name of a file"),
    "NUL": ({"a": "one\0"}, "is not the name of a file"),
    "link": ({"a": "link"}, "this symbolic link leaves its folder"),
    "folder": ({"a": "folder"}, "not a regular file"),
    "missing": ({"a": ONE, "b": "x", "c": "y"}, "missing 'x', 'y'; fetch all of its files"),
    "itself": ({"a": "model.safetensors.index.json"}, "neither a safetensors file nor"),
    "in none": ({"a": ONE, "b": TWO, "c": TWO, "d": TWO}, "on whether it holds 'd'"),
    "in another": ({"a": ONE, "b": ONE, "c": TWO}, "one.safetensors: the file and model"),
    "not in the map": ({"a": ONE, "b": TWO}, "disagree on whether it holds 'c'"),
    "very many": ({f"a{i}": ONE for i in range(20_001)}, "names 20001 tensors; npgpt reads at"),
    "very many missing": ({str(i): str(i) for i in range(9_999)}, "'19' and 9979 more; fetch all"),
    "very many strays": ({"a": ONE, **{str(i): ONE for i in range(9_999)}}, "and 9979 more; fetch"),
    "in two": ({"a": ONE, "b": TWO, "c": TWO, "e": "copy.safetensors"}, "it holds 'a', 'e'"),
}


@pytest.mark.parametrize(("weight_map", "said"), BAD_MAPS.values(), ids=BAD_MAPS)
def test_bad_indexes(sharded, weight_map, said):
    (sharded / "link").symlink_to("/etc/hostname")
    (sharded / "folder").mkdir()
    write_safetensors(sharded / "copy.safetensors", A)
    index(sharded, weight_map)
    with pytest.raises(CheckpointError) as caught:
        read_weights(sharded)
    assert str(caught.value).startswith(str(sharded))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"weight_map": {"a": "one.safetensors", "a": "two.safetensors"}}', "'a' is given twice"),
        ('{"weight_map": {}, "weight_map": {}}', "'weight_map' is given twice"),
        ("[]", "holds a list; expected a JSON object"),
        ('{"weight_map": {"a"', "not JSON"),
        ('{"weight_map": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        (" " * 2_000_000, "2000000 bytes long; a file of this name holds at most"),
    ],
)
def test_bad_index_texts(sharded, text, said):
    (sharded / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_weights(sharded)
    assert said in str(caught.value)


def test_an_index_of_nothing(tmp_path):
    index(tmp_path, {})
    assert read_weights(tmp_path).tensors == {}


def test_listing(sharded):
    listing = list_tensors(sharded)
    assert (listing.format, listing.prefix) == ("safetensors", "")
    assert len(listing.files) == 3
    rows = {(e.name, e.dtype, e.shape, e.nbytes, e.file.name) for e in listing.tensors}
    assert rows == {
        ("a", "float64", (3,), 24, "one.safetensors"),
        ("b", "float16", (2, 2), 8, "two.safetensors"),
        ("c", "int64", (), 8, "two.safetensors"),
    }
