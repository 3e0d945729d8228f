"""`npgpt diff`: traces and models beside one another."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import npgpt
from npgpt.audit import saved
from npgpt.checkpoints._safetensors import read_safetensors, write_safetensors
from tests.helpers.command_line import output, run

TEXT = "Shall I compare thee"


@pytest.fixture(scope="module")
def other(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with one number changed, in the MLP of layer 1."""
    folder = shutil.copytree(model, tmp_path_factory.mktemp("other") / "model")
    stored = read_safetensors(folder / "model.safetensors")
    arrays = {name: np.array(tensor.data) for name, tensor in stored.items()}
    arrays["transformer.h.1.mlp.c_fc.bias"][5] += 0.25
    write_safetensors(folder / "model.safetensors", arrays)
    return folder


def trace(folder: Path, model: Path, names: str = "*", dtype: str = "float32") -> Path:
    saved.save(folder, npgpt.load(model, dtype=dtype), TEXT, names)
    return folder


def test_models_that_differ(model: Path, other: Path) -> None:
    argv = ["diff", model, other, "--prompt", TEXT]
    ran = run(*argv)
    assert (ran.code, ran.err) == (1, "")
    *_, last = ran.out.splitlines()
    assert last.startswith("first difference: mlp_pre of layer 1, 0.25 at (0, ")
    ran = run(*argv, "--json")
    facts = json.loads(ran.out)
    assert (ran.code, facts["same"]) == (1, False)
    first = facts["first"]
    assert (first["name"], first["layer"], first["at"][2]) == ("mlp_pre", 1, 5)
    assert first in facts["activations"]
    assert first["ratio"] == first["largest"] / first["floor"] > 1
    assert facts["tokens"] == npgpt.load(model).tokens(TEXT).tolist()


def test_models_that_do_not(model: Path) -> None:
    table = output("diff", model, model, "--prompt", TEXT)
    assert table.endswith("\nno activation differs by more than rounding explains\n")
    assert output("diff", model, model, "--tokens", "1 2 3") != table
    facts = json.loads(output("diff", model, model, "--prompt", TEXT, "--json"))
    assert (facts["same"], facts["first"], facts["config"]) == (True, None, {})
    assert len(table.splitlines()) == len(facts["activations"]) + 5


def test_traces_and_a_model_on_the_tokens_of_one(model: Path, other: Path, tmp_path: Path) -> None:
    a, b = trace(tmp_path / "a", model), trace(tmp_path / "b", other)
    wide = trace(tmp_path / "wide", model, dtype="float64")
    assert run("diff", a, b).code == 1
    assert run("diff", a, wide).code == 0
    assert run("diff", wide, model).code == 0
    assert run("diff", other, a).code == 1


def test_what_is_compared_may_be_chosen(model: Path, other: Path) -> None:
    argv = ["diff", model, other, "--prompt", TEXT, "--names", "resid_pre", "query.1"]
    assert run(*argv).code == 0
    names = [
        (each["name"], each["layer"]) for each in json.loads(output(*argv, "--json"))["activations"]
    ]
    assert names == [("resid_pre", 0), ("resid_pre", 1), ("query", 1)]


def test_what_one_of_them_lacks_is_said(model: Path, tmp_path: Path) -> None:
    a, b = trace(tmp_path / "a", model, "ln_*"), trace(tmp_path / "b", model, "ln_1")
    said = output("diff", b, a)
    assert "\nonly in b: 'ln_1_scale.0', 'ln_2_scale.0', 'ln_2.0', " in said
    assert "only in a" not in said


def test_a_model_is_run_for_what_the_trace_beside_it_has(model: Path, tmp_path: Path) -> None:
    a = trace(tmp_path / "a", model, "ln_*")
    facts = json.loads(output("diff", a, model, "--json"))
    assert (facts["only_a"], facts["only_b"]) == ([], [])
    assert {each["name"] for each in facts["activations"]} == {
        "ln_1_scale", "ln_1", "ln_2_scale", "ln_2", "ln_f_scale", "ln_f",
    }  # fmt: skip


def test_where_numbers_overflow_it_says_so(model: Path, tmp_path: Path) -> None:
    a, b = trace(tmp_path / "a", model, "ln_f"), trace(tmp_path / "b", model, "ln_f")
    about = json.loads((b / "trace.json").read_text())
    about["floors"]["ln_f"] = None
    (b / "trace.json").write_text(json.dumps(about))
    assert "nothing can be said" not in output("diff", a, b)  # for they are the same
    stored = read_safetensors(b / "trace.safetensors")
    arrays = {name: np.array(tensor.data) for name, tensor in stored.items()}
    arrays["ln_f"][0, 0, 0] = np.inf
    write_safetensors(b / "trace.safetensors", arrays)
    assert "\nnothing can be said of 'ln_f': " in output("diff", a, b)


@pytest.mark.parametrize(
    ("words", "quoted"),
    [
        ("{model} {model}", "give --prompt TEXT"),
        ("{model} {model} --prompt x --tokens 1", "--prompt and --tokens"),
        ("{model} {model} --prompt=", "--prompt '' holds nothing"),
        ("{model} {model} --tokens=", "--tokens [] holds nothing"),
        ("{model} {model} --tokens 9999", "9999"),
        ("{model} {model} --prompt x --names resid_prr", "did you mean 'resid_pre'"),
        ("{model} {model} --prompt x --dtype float16", "'float16'"),
        ("{trace} {model} --prompt x", "a trace has its own tokens"),
        ("{trace} {trace} --names ln_f", "--names is given, but no model is run"),
        ("{trace} {trace} --dtype float64", "--dtype is given, but no model is run"),
        ("{trace} {none}", "none"),
        ("{trace} {long}", "no such file or folder"),
        ("{trace} {broken}", "not JSON"),
        ("{trace}", "B"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_bad_input(model: Path, tmp_path: Path, words: str, quoted: str, form: list[str]) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "trace.json").write_text("{")
    (broken / "trace.safetensors").write_bytes(b"x")
    folders = {
        "model": model, "none": tmp_path / "none", "broken": broken, "long": "x" * 300,
        "trace": trace(tmp_path / "trace", model, "ln_f"),
    }  # fmt: skip
    ran = run("diff", *(word.format(**folders) for word in words.split()), *form)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("npgpt: ")
    assert ran.err.count("\n") == 1
    assert quoted in ran.err
