"""Each command's --json, against its schema in docs/schemas."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from npgpt._cli.program import COMMANDS
from npgpt.checkpoints._hub.fetch import Fetched
from tests.helpers.command_line import run

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
TEXT = "Shall I shall I"
LAYER = ["--name", "mlp_out"]
COMMAND_LINES = [
    ["generate", "--max-new-tokens", 2, TEXT],
    ["generate", "--explain", "--output-scores", "--max-new-tokens", 1, TEXT],
    ["generate", "--explain", "--no-do-sample", "--num-beams", 3, "--max-new-tokens", 2, TEXT],
    ["generate", "--explain", "--no-do-sample", "--penalty-alpha", 0.5, "--top-k", 3,
     "--max-new-tokens", 2, TEXT],
    ["score", TEXT],
    ["score", "--add-bos", "--stride", 1, TEXT],
    ["tokenize", TEXT],
    ["tokenize", "--decode", "36 103"],
    ["inspect"],
    ["bench", "--runs", 1],
    ["audit", TEXT],
    ["audit", "S"],
    ["audit", "--max-new-tokens", 2, "--no-do-sample", "--num-beams", 2, TEXT],
    ["lens", "--position", "all", TEXT],
    ["lens", "--top", 1, TEXT],
    ["attribute", TEXT],
    ["attribute", "--token", 40, "--against", 41, "--neurons", 1, TEXT],
    ["patch", "--token", 40, "--from", "shall I Shall I"[:15], TEXT],
    ["patch", "--token", 40, "--against", 41, "--ablate", "zero", TEXT],
    ["patch", "--token", 40, "--ablate", "mean", "--at", "mlp 1", TEXT],
    ["patch", "--token", 40, "--corrupt", "0,1", *LAYER, TEXT],
]  # fmt: skip


def schema(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return fields


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def check(printed: str, name: str) -> None:
    fields = json.loads(printed, parse_constant=no_constant)
    assert next(iter(fields)) == "schema"
    assert fields["schema"] == f"npgpt.{name}/1"
    jsonschema.Draft202012Validator(schema(name)).validate(fields)


def objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "properties" in node:
            yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def test_every_command_has_a_schema_and_no_schema_is_left_over() -> None:
    names = {command.name for command in COMMANDS} | {"audit-verify"}
    # That of the judge is held by tests/oracle/conformance/test_json_schema.py.
    assert {path.stem for path in SCHEMAS.glob("*.json")} == names | {"judge"}
    for name in names:
        jsonschema.Draft202012Validator.check_schema(schema(name))
        # No field may come, or be missing, that the schema does not tell of.
        for each in objects(schema(name)):
            assert each["additionalProperties"] is False
            assert {*each["required"]} <= each["properties"].keys()
        assert "schema" in schema(name)["required"]


@pytest.mark.parametrize("argv", COMMAND_LINES, ids=lambda argv: " ".join(map(str, argv)))
def test_what_is_printed_is_what_its_schema_says(model: Path, argv: list[object]) -> None:
    command, *rest = argv
    ran = run(command, "--model", model, "--json", *rest)
    assert (ran.code, ran.err) == (0, "")
    check(ran.out, str(command))


@pytest.mark.parametrize(
    "argv",
    [["generate", "--max-new-tokens", "1"], ["score"], ["audit"], ["lens"],
     ["attribute", "--token", "3"], ["patch", "--token", "3", "--ablate", "zero"]],
    ids=lambda argv: argv[0],
)  # fmt: skip
def test_without_a_tokenizer_too(bare_model: Path, argv: list[str]) -> None:
    ran = run(*argv, "--model", bare_model, "--json", "--tokens", "40 41 40")
    assert ran.code == 0
    check(ran.out, argv[0])


@pytest.mark.parametrize(
    "argv",
    [["audit"], ["lens"], ["attribute", "--token", "3"],
     ["patch", "--token", "3", "--ablate", "zero"], ["inspect"]],
    ids=lambda argv: argv[0],
)  # fmt: skip
def test_with_nan_too(nan_model: Path, argv: list[str]) -> None:
    text = [] if argv[0] == "inspect" else [TEXT]
    ran = run(*argv, "--model", nan_model, "--json", *text)
    check(ran.out, argv[0])


def test_of_what_is_on_the_disk(model: Path, tmp_path: Path) -> None:
    check(run("convert", model, tmp_path / "one.npz", "--json").out, "convert")
    for folder, text in (("a", TEXT), ("b", TEXT)):
        run("audit", "--model", model, "--save", tmp_path / folder, text)
    ran = run("audit", "--model", model, "--verify", tmp_path / "a", "--json")
    check(ran.out, "audit-verify")
    check(run("diff", tmp_path / "a", tmp_path / "b", "--json").out, "diff")
    (tmp_path / "no model.bin").write_bytes(b"nothing")
    ran = run("inspect", tmp_path / "no model.bin", "--json")
    assert ran.code == 2
    check(ran.out, "inspect")


def test_of_what_differs(model: Path, two_tokens: Path, tmp_path: Path) -> None:
    run("audit", "--model", model, "--save", tmp_path / "a", TEXT)
    run("audit", "--model", model, "--dtype", "float64", "--save", tmp_path / "b", TEXT)
    printed = run("diff", tmp_path / "a", tmp_path / "b", "--json").out
    check(printed, "diff")
    assert math.isfinite(json.loads(printed)["activations"][2]["floor"])


def test_of_what_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.json"
    file.write_text("{}")
    fetched = Fetched(tmp_path, "0" * 40, (file,))
    monkeypatch.setattr("npgpt.checkpoints._hub.fetch.fetch", lambda *_, **__: fetched)
    check(run("fetch", "gpt2", "--json").out, "fetch")
