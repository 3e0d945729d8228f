import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import npgpt
from npgpt.checkpoints._listing import list_tensors
from npgpt.checkpoints._safetensors import read_safetensors, write_safetensors
from npgpt.model._parameters import to_arrays
from tests.helpers.checkpoint_making import TINY, random_arrays
from tests.helpers.command_line import output, run
from tests.helpers.dialects import NanoGPT, model_args


def arrays(path: Path) -> dict[str, np.ndarray]:
    return to_arrays(npgpt.load(path, dtype="float64").parameters)


def assert_same(one: Path, other: Path) -> None:
    first, second = arrays(one), arrays(other)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_there_and_back(model: Path, tmp_path: Path) -> None:
    said = output("convert", model, tmp_path / "a.npz")
    assert "read " in said
    assert "npz, 28 tensors of " in said
    assert "float32, without a tokenizer\n" in said
    said = output("convert", tmp_path / "a.npz", tmp_path / "b")
    assert "in the dialect of Hugging Face\n" in said
    assert_same(model, tmp_path / "a.npz")
    assert_same(model, tmp_path / "b")
    assert npgpt.load(tmp_path / "b").config == npgpt.load(model).config


def test_a_folder_keeps_tokenizer_and_settings(model: Path, tmp_path: Path) -> None:
    facts = json.loads(output("convert", model, tmp_path / "a", "--json"))
    assert facts["from"] == {
        "path": str(model), "format": "safetensors", "dialect": "Hugging Face",
    }  # fmt: skip
    assert (facts["format"], facts["dtype"], facts["tokenizer"]) == ("safetensors", "float32", True)
    for file in model.iterdir():
        assert (tmp_path / "a" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_dtypes(model: Path, tmp_path: Path, dtype: str) -> None:
    output("convert", model, tmp_path / "a", "--dtype", dtype)
    assert {t.dtype for t in list_tensors(tmp_path / "a").tensors} == {dtype}
    # What is not asked for stays; NumPy has no bfloat16, and float32 holds its numbers exactly.
    output("convert", tmp_path / "a", tmp_path / "b")
    assert {t.dtype for t in list_tensors(tmp_path / "b").tensors} == {dtype}
    output("convert", tmp_path / "a", tmp_path / "c.npz")
    kept = "float32" if dtype == "bfloat16" else dtype
    assert {t.dtype for t in list_tensors(tmp_path / "c.npz").tensors} == {kept}
    assert_same(tmp_path / "a", tmp_path / "b")
    assert_same(tmp_path / "a", tmp_path / "c.npz")


def test_nanogpt_s_checkpoints(tmp_path: Path) -> None:
    import torch

    trained = NanoGPT(TINY).take(random_arrays(TINY))
    value = {"model": trained.state_dict(), "model_args": model_args(TINY), "iter_num": 3}
    torch.save(value, tmp_path / "ckpt.pt")
    facts = json.loads(output("convert", tmp_path, tmp_path / "a", "--json"))
    assert facts["from"]["dialect"] == "nanoGPT or minGPT"
    assert_same(tmp_path / "ckpt.pt", tmp_path / "a")
    assert json.loads((tmp_path / "a" / "config.json").read_text())["activation_function"] == "gelu"


def test_the_format_may_be_said(model: Path, tmp_path: Path) -> None:
    output("convert", model, tmp_path / "a", "--format", "npz")
    assert_same(model, tmp_path / "a")
    output("convert", model, tmp_path / "b.npz", "--format", "safetensors")
    assert (tmp_path / "b.npz" / "model.safetensors").is_file()


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_what_is_there_is_replaced_by_force_alone(model: Path, tmp_path: Path) -> None:
    for name in ("a.npz", "a"):
        output("convert", model, tmp_path / name)
        (tmp_path / name).with_suffix("").mkdir(exist_ok=True)
    (tmp_path / "a" / "letter").write_text("precious")
    before = [contents(tmp_path), contents(tmp_path / "a")]
    ran = run("convert", model, tmp_path / "a", "--dtype", "float16")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"npgpt: {tmp_path}/a: not empty, it holds 'config.json', 'generation_config.json', "
        "'letter', 'merges.txt', 'model.safetensors', 'tokenizer.json', 'vocab.json'; give a new "
        "folder, or --force, which replaces a model's files there\n"
    )
    ran = run("convert", model, tmp_path / "a.npz", "--dtype", "float16")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"npgpt: {tmp_path}/a.npz: there is a file of that name; give another, or --force to "
        "replace it\n"
    )
    assert [contents(tmp_path), contents(tmp_path / "a")] == before
    for name in ("a.npz", "a"):
        output("convert", model, tmp_path / name, "--dtype", "float16", "--force")
        assert {t.dtype for t in list_tensors(tmp_path / name).tensors} == {"float16"}
    assert (tmp_path / "a" / "letter").read_text() == "precious"


def test_in_stays_as_it_is_whatever_is_forced(model: Path, tmp_path: Path) -> None:
    source = shutil.copytree(model, tmp_path / "model")
    output("convert", model, tmp_path / "a.npz")
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "link.npz").symlink_to(tmp_path / "a.npz")
    before = [contents(tmp_path), contents(source)]
    for one, other in (
        ("model", "model"),
        ("model", "link"),
        ("link", "model"),
        ("model/model.safetensors", "model"),
        ("a.npz", "a.npz"),
        ("a.npz", "link.npz"),
    ):
        ran = run("convert", tmp_path / one, tmp_path / other, "--force", "--dtype", "float16")
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == (
            f"npgpt: OUT is '{tmp_path}/{other}', where IN is too; give another name: IN stays as "
            "it is\n"
        )
        assert [contents(tmp_path), contents(source)] == before


def test_a_failed_conversion_leaves_what_was_there(model: Path, tmp_path: Path) -> None:
    large = shutil.copytree(model, tmp_path / "large")
    stored = read_safetensors(large / "model.safetensors")
    arrays = {name: np.array(tensor.data) for name, tensor in stored.items()}
    arrays["transformer.ln_f.bias"][0] = 1e30
    write_safetensors(large / "model.safetensors", arrays)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_text("precious")
    for name in ("new", "deep/er", "new.npz", "old"):
        ran = run("convert", large, tmp_path / name, "--dtype", "float16", "--force")
        assert (ran.code, ran.out) == (2, "")
        assert "float16" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large", "old"]
    assert contents(tmp_path / "old") == {"config.json": b"precious"}


def test_a_refused_file_writes_nothing_and_stays(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"precious")
    ran = run("convert", model, tmp_path / "a.npz")
    assert (ran.code, ran.out) == (2, "")
    assert "not an npz; remove it" in ran.err
    assert (tmp_path / "a.npz").read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
