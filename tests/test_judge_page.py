"""What docs/judge.md and its example workflow say beside commands and outputs."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from oracle import pytest_gpt2
from oracle.conformance import SIGNATURES
from oracle.conformance._program import _judge

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "judge.md").read_text(encoding="utf-8")
WORKFLOW = (ROOT / "docs" / "examples" / "judge.yml").read_text(encoding="utf-8")
COMMANDS = re.findall(r"(?m)^ *- run: (.+)$", WORKFLOW)


def test_the_table_of_ops_is_that_of_the_signatures() -> None:
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| `(\w+\(.*\))` \|$", PAGE))
    assert rows == SIGNATURES


def test_every_option_of_the_command_that_it_names_is_one() -> None:
    parser = argparse.ArgumentParser()
    _judge.add(parser.add_subparsers())
    known = set(re.findall(r"--[a-z-]+", _help(parser)))
    prose = re.sub(r"(?ms)^```.*?^```", "", PAGE)
    spans = [span for span in re.findall(r"`([^`]+)`", prose) if "oracle judge" in span]
    assert spans
    for span in spans:
        assert set(re.findall(r"(?<!\S)--[a-z-]+", span)) <= known, span


def _help(parser: argparse.ArgumentParser) -> str:
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    text: str = commands.choices["judge"].format_help()
    return text


def test_every_key_of_pytests_configuration_that_it_names_is_one() -> None:
    keys = {f"gpt2_{name.replace('-', '_')}" for name in pytest_gpt2.OPTIONS}
    named = set(re.findall(r"(?m)^(gpt2_\w+) = ", PAGE))
    assert named
    assert named <= keys


def test_the_workflow_is_one_of_a_checkout_a_python_and_commands() -> None:
    assert "uses: actions/checkout@" in WORKFLOW
    assert COMMANDS[0] == "pip install ./oracle"
    assert len(COMMANDS) == 2


def test_the_commands_of_the_workflow_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = pytester.mkpydir("mypackage")
    (package / "adapter.py").write_text(
        "def relu(x):\n    return x * (x > 0)\n\n\n"
        "subject = {'name': 'mine', 'ops': {'relu': relu, 'gelu': relu}}\n"
    )
    (pytester.path / "known-failures.txt").write_text("ops/gelu: a ReLU\nops/gelu-wide: a ReLU\n")
    pytester.makepyfile(test_own="def test_own(): pass")
    pytester.syspathinsert()
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    words = shlex.split(COMMANDS[1])
    assert words[:3] == ["python", "-m", "pytest"]
    plugin = ("-p", "no:gpt2", "-p", "oracle.pytest_gpt2")
    done = pytester.runpytest_inprocess(*plugin, *words[3:], "--gpt2-examples=3")
    done.assert_outcomes(passed=3, xfailed=2)
    written = {path.name for path in pytester.path.iterdir()}
    kept = set(re.findall(r"(?m)^            ([\w.]+)$", WORKFLOW))
    assert kept == {"judge.json", "junit.xml", "failing"}
    assert kept <= written
