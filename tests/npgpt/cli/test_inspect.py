import hashlib
import json
from math import prod
from pathlib import Path

import numpy as np
from command_line import output, run
from real_data import mgm_checkpoint

from npgpt.checkpoints import safetensors
from npgpt.config import from_json
from npgpt.model.parameters import shapes


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
    stored = safetensors.read(tmp_path / "model.safetensors")
    arrays = {name: np.array(tensor.data, np.float64) for name, tensor in stored.items()}
    arrays["transformer.ln_f.bias"][0] = 1e300
    safetensors.write(tmp_path / "model.safetensors", arrays)
    facts = json.loads(output("inspect", "--model", tmp_path, "--json"))
    assert facts["non_finite"] == {}
    assert {t["dtype"] for t in facts["tensors"]} == {"float64"}


def test_a_real_checkpoint_of_torch() -> None:
    facts = json.loads(output("inspect", "--model", mgm_checkpoint(), "--json"))
    assert facts["format"] == "torch zip"
    assert (facts["config"]["n_layer"], facts["config"]["n_embd"]) == (8, 256)
    assert facts["tokenizer"] is None
    assert "pytorch_model.bin" in [file["name"] for file in facts["files"]]
