"""Absurd values on the command line: one short line, and exit code 2."""

import shutil
from pathlib import Path

import pytest

from tests.helpers.command_line import run

DIGITS = "9" * 40
TABLE = [
    *((option, value) for option in (
        "--max-length", "--max-new-tokens", "--min-length", "--min-new-tokens", "--num-beams",
        "--num-return-sequences", "--forced-bos-token-id", "--eos-token-id", "--suppress-tokens",
        "--bad-words-ids", "--tokens",
    ) for value in (DIGITS, DIGITS + "9", "-1", "1e3", "inf", "1_0", "٣", "1.0")),
    *((option, value) for option in (
        "--top-p", "--min-p", "--repetition-penalty", "--length-penalty", "--guidance-scale",
        "--penalty-alpha", "--temperature",
    ) for value in ("inf", "-inf", "nan", "1e400", "1" * 400, "-1e39", "0x1", "")),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value"), TABLE, ids=lambda value: value[:20])
def test_options(model: Path, option: str, value: str) -> None:
    text = [] if option == "--tokens" else ["x"]
    ran = run("generate", "--model", model, f"{option}={value}", *text)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("npgpt: ")
    assert ran.err.count("\n") == 1
    assert len(ran.err) < 700


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_tokenize_reads_nothing_outside_the_folder(model: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    (tmp_path / "secret").write_text("{}")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("../secret")
    ran = run("tokenize", "--model", folder, "x")
    assert (ran.code, ran.out) == (2, "")
    assert f"{name}: this symbolic link leaves its folder" in ran.err
