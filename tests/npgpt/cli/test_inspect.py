import hashlib
import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from npgpt._config import from_json
from npgpt.checkpoints._safetensors import read_safetensors, write_safetensors
from npgpt.model._parameters import shapes
from tests.helpers.checkpoint_making import TINY, random_arrays
from tests.helpers.command_line import output, run
from tests.helpers.dialects import linear, model_args
from tests.helpers.real_data import mgm_checkpoint


def test_json_tells_all(model: Path) -> None:
    facts = json.loads(output("inspect", "--model", model, "--json"))
    config = from_json(json.loads((model / "config.json").read_text()))
    assert from_json(facts["config"]) == config
    sizes = {f"transformer.{name}": shape for name, shape in shapes(config).items()}
    assert {t["name"]: tuple(t["shape"]) for t in facts["tensors"]} == sizes
    assert {t["dtype"] for t in facts["tensors"]} == {"float32"}
    assert all(t["bytes"] == 4 * prod(t["shape"]) for t in facts["tensors"])
    assert facts["parameters"] == sum(prod(shape) for shape in sizes.values())
    assert facts["bytes"] == 4 * facts["parameters"]
    assert facts["non_finite"] == {}
    assert facts["tokenizer"]["tokens"] == config.vocab_size
    assert facts["tokenizer"]["special_tokens"] == {"<|endoftext|>": config.eos_token_id}
    assert facts["generation_config"]["top_k"] == 40


def test_every_file_is_hashed(model: Path) -> None:
    files = json.loads(output("inspect", "--model", model, "--json"))["files"]
    assert {file["name"] for file in files} == {file.name for file in model.iterdir()}
    for file in files:
        data = (model / file["name"]).read_bytes()
        assert file["bytes"] == len(data)
        assert file["sha256"] == hashlib.sha256(data).hexdigest()


def test_the_report_shows_what_json_tells(model: Path) -> None:
    argv = ["inspect", "--model", model]
    report, facts = output(*argv), json.loads(output(*argv, "--json"))
    for tensor in facts["tensors"]:
        shape = "x".join(map(str, tensor["shape"]))
        line = [str(tensor["bytes"]), "float32", shape, tensor["name"]]
        assert line in [line.split() for line in report.splitlines()]
    for file in facts["files"]:
        assert f"{file['sha256']}  {file['name']}" in report
    for name, value in facts["config"].items():
        assert [name, *str(value).split()] in [line.split() for line in report.splitlines()]
    assert f"\n{facts['parameters']:,} parameters\n" in report
    assert "\nNaN or infinite values: none\n" in report


def test_values_that_are_not_finite_are_counted(nan_model: Path) -> None:
    ran = run("inspect", "--model", nan_model)
    assert ran.code == 0
    assert ran.err.startswith("npgpt: warning: ")
    assert ran.err.count("\n") == 1
    assert "\nNaN or infinite values: 1 in ln_f.bias\n" in ran.out
    facts = json.loads(run("inspect", "--model", nan_model, "--json").out)
    assert facts["non_finite"] == {"ln_f.bias": 1}


def test_a_float64_past_the_float32s_is_finite(model: Path, tmp_path: Path) -> None:
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    stored = read_safetensors(tmp_path / "model.safetensors")
    arrays = {name: np.array(tensor.data, np.float64) for name, tensor in stored.items()}
    arrays["transformer.ln_f.bias"][0] = 1e300
    write_safetensors(tmp_path / "model.safetensors", arrays)
    facts = json.loads(output("inspect", "--model", tmp_path, "--json"))
    assert facts["non_finite"] == {}
    assert {t["dtype"] for t in facts["tensors"]} == {"float64"}


def test_a_real_checkpoint_of_torch() -> None:
    facts = json.loads(output("inspect", "--model", mgm_checkpoint(), "--json"))
    assert facts["format"] == "torch zip"
    assert (facts["config"]["n_layer"], facts["config"]["n_embd"]) == (8, 256)
    assert facts["tokenizer"] is None
    assert "pytorch_model.bin" in [file["name"] for file in facts["files"]]


def test_a_path_stands_for_itself(model: Path) -> None:
    assert output("inspect", model) == output("inspect", "--model", model)


def test_the_dialect_and_that_it_is_safe(model: Path, tmp_path: Path) -> None:
    report = output("inspect", model)
    assert "\ndialect: Hugging Face\nsafe: yes: it holds numbers and texts, and nothing" in report
    state = {n: torch.from_numpy(a) for n, a in linear(random_arrays(TINY)).items()}
    for name, options in (("a", {}), ("b", {"_use_new_zipfile_serialization": False})):
        torch.save({"model": state, "model_args": model_args(TINY)}, tmp_path / name, **options)
        ran = run("inspect", tmp_path / name)
        report = ran.out
        doubt = f"npgpt: warning: {tmp_path / name}: does not say which GELU it was trained with; "
        assert ran.err.startswith(doubt if options else "")
        assert (ran.code, ran.err.count("\n")) == (0, 1 if options else 0)
        assert "\ndialect: nanoGPT or minGPT\n" in report
        named = "collections.OrderedDict, torch.FloatStorage, torch._utils._rebuild_tensor_v2\n"
        assert f"\nsafe: yes: a pickle that names only {named}" in report


def test_without_a_config_the_tensors_are_shown(model: Path, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    ran = run("inspect", tmp_path / "x.safetensors")
    assert ran.code == 2
    assert ran.err.startswith(f"npgpt: {tmp_path}: no config.json here; it says the model's sizes")
    assert ran.err.count("\n") == 1
    assert "transformer.h.1.mlp.c_fc.weight" in ran.out
    assert "\nsafe: yes: " in ran.out
    facts = json.loads(run("inspect", tmp_path / "x.safetensors", "--json").out)
    assert (facts["format"], facts["dialect"], facts["safe"]) == (
        "safetensors",
        "Hugging Face",
        True,
    )
    assert f"npgpt: {facts['refused']}\n" == ran.err
    assert len(facts["tensors"]) == 28


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


WRITERS: dict[str, Callable[[Any, Path], object]] = {
    "zip": torch.save,
    "torch legacy": lambda value, path: torch.save(
        value, path, _use_new_zipfile_serialization=False
    ),
    "pickle": lambda value, path: path.write_bytes(pickle.dumps(value, 4)),
}


@pytest.mark.parametrize(("form", "write"), WRITERS.items(), ids=WRITERS)
def test_a_pickle_that_is_refused(
    tmp_path: Path, form: str, write: Callable[[Any, Path], object]
) -> None:
    value = {"model": OrderedDict(a=1), "x": Trap(tmp_path / "sprung"), "y": Fraction(1, 2)}
    write(value, tmp_path / "bad.bin")
    ran = run("inspect", tmp_path / "bad.bin")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert f"({form})\n" in ran.out
    named = f"collections.OrderedDict, fractions.Fraction, {os.mkdir.__module__}.mkdir\n"
    assert f"its pickle names {named}" in ran.out
    facts = json.loads(run("inspect", tmp_path / "bad.bin", "--json").out)
    assert facts["safe"] is False
    assert facts["names"][-1] == f"{os.mkdir.__module__}.mkdir"
    assert f"npgpt: {facts['refused']}\n" == ran.err
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"GGUF\3\0\0\0", "GGUF"),
        (b"<!DOCTYPE html>", "no format that npgpt knows"),
        (b"\x10\0\0\0\0\0\0\0{", "safetensors"),
        (b"\x80\4garbage", "pickle"),
        (b"PK\3\4", "zip"),
        (b"", "no format that npgpt knows"),
        ((20240326).to_bytes(4, "little"), "llm.c"),
        (b"\x80\2" + b"I" + b"9" * 9999 + b"\n.", "pickle"),
    ],
)
def test_any_file_that_is_refused(tmp_path: Path, data: bytes, form: str) -> None:
    (tmp_path / "bad").write_bytes(data)
    ran = run("inspect", tmp_path / "bad")
    assert ran.code == 2
    assert ran.out.startswith(f"{tmp_path / 'bad'} ({form})\n")
    assert "\nsafe: no: npgpt refuses it, and nothing of it was used\n" in ran.out
    assert ran.err.startswith(f"npgpt: {tmp_path / 'bad'}: ")
