"""Folders that hold no trace: one error of npgpt that names the file and the place."""

import json
import shutil

import numpy as np
import pytest

from npgpt.audit import saved
from npgpt.checkpoints._safetensors import read_safetensors, write_safetensors
from npgpt.errors import CheckpointError, NpgptError
from tests.helpers.small_gpt import small_gpt_in


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trace")
    saved.save(folder, small_gpt_in("float32"), [[1, 2, 3], [4, 5, 6]], ["ln_*", "scores.1"])
    return folder


def with_fields(folder, **changed):
    path = folder / "trace.json"
    fields = json.loads(path.read_text()) | changed
    path.write_text(json.dumps({name: f for name, f in fields.items() if f is not Ellipsis}))


def with_config(folder, **changed):
    with_fields(folder, config=json.loads((folder / "trace.json").read_text())["config"] | changed)


def with_arrays(folder, change):
    path = folder / "trace.safetensors"
    arrays = {name: np.array(tensor.data) for name, tensor in read_safetensors(path).items()}
    change(arrays)
    write_safetensors(path, arrays)


def renamed(new):
    return lambda folder: with_arrays(folder, lambda a: a.update({new: a.pop("ln_f")}))


def fields(**changed):
    return lambda folder: with_fields(folder, **changed)


def config(**changed):
    return lambda folder: with_config(folder, **changed)


def arrays(change):
    return lambda folder: with_arrays(folder, change)


DIGITS = 10**39
BAD = {
    "no trace.json": (lambda f: (f / "trace.json").unlink(), "no trace.json here"),
    "no arrays": (lambda f: (f / "trace.safetensors").unlink(), "no trace.safetensors here"),
    "not JSON": (lambda f: (f / "trace.json").write_text("{"), "trace.json: not JSON"),
    "a list": (lambda f: (f / "trace.json").write_text("[]"), "expected a JSON object"),
    "empty": (lambda f: (f / "trace.json").write_text("{}"), "format is None and version None"),
    "another format": (fields(format="model"), "format is 'model'"),
    "a version that is true": (fields(version=True), "version True"),
    "a later version": (fields(version=2), "version 2; this npgpt reads 'npgpt trace' of version"),
    "a missing field": (fields(floors=...), "the fields are 'config', 'dtype', 'format', 'tokens'"),
    "a new field": (fields(x=1), "'x'; expected format, version"),
    "another dtype": (fields(dtype="float16"), "dtype is 'float16'"),
    "a dtype that is a list": (fields(dtype=["float32"]), "dtype is a list"),
    "no config": (fields(config=[]), "config: a config is a JSON object"),
    "a bad config": (config(n_head=3), "config: n_embd is 8, which n_head = 3 does not divide"),
    "another model type": (config(model_type="bert"), "model_type is 'bert'"),
    "other sizes": (config(n_embd=16), "tensor 'ln_1_scale.0'|tensor 'ln_1.0': float32 of shape"),
    "a huge model": (config(n_embd=DIGITS, n_head=1, n_layer=DIGITS), "tensor 'ln_1.0': float32"),
    "too few layers": (config(n_layer=1), "the model has 1: give one of 0 to 0"),
    "no layers": (config(n_layer=0), "the model has 0"),
    "tokens are a text": (fields(tokens="abc"), "tokens: 'abc'; expected a list of rows"),
    "no rows": (fields(tokens=[]), "tokens: a list; expected a list of rows"),
    "a flat row": (fields(tokens=[1, 2]), "expected a list of rows"),
    "empty rows": (fields(tokens=[[], []]), "rows of 0 to 0 ids"),
    "ragged rows": (fields(tokens=[[1], [1, 2]]), "rows of 1 to 2 ids"),
    "too long a row": (fields(tokens=[[1] * 49]), "1 to n_positions = 48"),
    "an unknown id": (fields(tokens=[[1, 2, 300], [1, 2, 3]]), "tokens: 300; expected ids of 0 to"),
    "a negative id": (fields(tokens=[[1, 2, -1], [1, 2, 3]]), "tokens: -1; expected ids"),
    "an id that is true": (fields(tokens=[[1, 2, True], [1, 2, 3]]), "tokens: True; expected ids"),
    "half an id": (fields(tokens=[[1, 2, 1.5], [1, 2, 3]]), "tokens: 1.5; expected ids"),
    "a huge id": (
        lambda f: (with_config(f, vocab_size=DIGITS), with_fields(f, tokens=[[DIGITS - 1]])),
        "tokens: an int; expected ids of 0 to 2147483647",
    ),
    "other tokens": (fields(tokens=[[1, 2]]), r"make it float32 of shape \(1, 2"),
    "floors are a list": (fields(floors=[1]), "floors: a list; expected an object"),
    "no floors": (fields(floors={}), "floors: a dict; expected an object of at least one"),
    "a negative floor": (fields(floors={"ln_f": -1e-9}), "floors: 'ln_f' is -1e-09"),
    "a floor that is true": (fields(floors={"ln_f": True}), "floors: 'ln_f' is True"),
    "a floor that is NaN": (fields(floors={"ln_f": float("nan")}), "NaN is not JSON"),
    "floors of others": (fields(floors={"ln_f": 0, "x": 1}), "'x' is in one of trace.json and tr"),
    "a tensor less": (arrays(lambda a: a.pop("ln_f")), "'ln_f' is in one of trace.json and trace"),
    "an unknown name": (renamed("ln_g"), "tensor 'ln_g': no activation has that name"),
    "a long name": (renamed("x" * 10**5), "xxx'…: no activation has that name"),
    "a name without layer": (renamed("ln_1"), "tensor 'ln_1': layer of 'ln_1' is None"),
    "a name with a layer": (renamed("ln_f.0"), "'ln_f' is outside the blocks"),
    "an empty layer": (renamed("ln_1."), r"tensor 'ln_1\.': no activation"),
    "a layer of words": (renamed("ln_1.x"), r"tensor 'ln_1\.x': no activation"),
    "a layer with a zero": (renamed("ln_1.01"), r"tensor 'ln_1\.01': no activation"),
    "another alphabet's digit": (renamed("ln_1.١"), "no activation has that name"),
    "a layer of many digits": (renamed("ln_1." + "9" * 5000), "no activation has that name"),
    "a layer past the last": (renamed("ln_1.7"), "layer of 'ln_1' is 7"),
    "another shape": (arrays(lambda a: a.update(ln_f=a["ln_f"][:, 1:])), r"'ln_f': .* \(2, 2, 8\)"),
    "one of another dtype": (
        arrays(lambda a: a.update(ln_f=a["ln_f"].astype(np.float64))),
        "tensor 'ln_f': float64 of shape",
    ),
    "cut short": (
        lambda f: (f / "trace.safetensors").write_bytes(
            (f / "trace.safetensors").read_bytes()[:-1]
        ),
        "the file is cut short",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "message"), BAD.values(), ids=BAD)
def test_a_bad_folder(good, tmp_path, fault, message):
    folder = shutil.copytree(good, tmp_path / "trace")
    saved.load(folder)
    fault(folder)
    with pytest.raises(NpgptError, match=message) as caught:
        saved.load(folder)
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < 700 + len(str(folder))


def test_a_link_out_of_the_folder(good, tmp_path):
    folder = shutil.copytree(good, tmp_path / "trace")
    (folder / "trace.safetensors").unlink()
    (folder / "trace.safetensors").symlink_to(good / "trace.safetensors")
    with pytest.raises(CheckpointError, match="leaves its folder"):
        saved.load(folder)


def test_too_many_tokens_for_the_json(tmp_path):
    gpt = small_gpt_in("float32")
    with pytest.raises(CheckpointError, match="give fewer tokens"):
        saved.save(tmp_path, gpt, np.full((8000, 48), 100), "ln_f_scale")
    assert not list(tmp_path.iterdir())
