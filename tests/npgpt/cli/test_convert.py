import json
from pathlib import Path

import numpy as np
import pytest

import npgpt
from npgpt.checkpoints._listing import list_tensors
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


def test_what_it_wrote_it_may_write_over(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        output("convert", model, tmp_path / "a.npz")
        output("convert", model, tmp_path / "a")
    output("convert", tmp_path / "a", tmp_path / "a", "--dtype", "float16")
    assert {t.dtype for t in list_tensors(tmp_path / "a").tensors} == {"float16"}


def test_a_refused_file_writes_nothing_and_stays(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"precious")
    ran = run("convert", model, tmp_path / "a.npz")
    assert (ran.code, ran.out) == (2, "")
    assert "not an npz; remove it" in ran.err
    assert (tmp_path / "a.npz").read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
