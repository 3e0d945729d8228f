"""pytest --gpt2-subject in somebody else's suite."""

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.helpers.patience import NEVER

ROOT = Path(__file__).parents[3]
THEIRS = """
from oracle.adapters import pytorch
clean = pytorch.subject()
name = "theirs"
ops = {"relu": lambda x: x * (x > 0), "gelu": lambda x: x * (x > 0)}
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(THEIRS)
    (tmp_path / "test_own.py").write_text("def test_own(): pass\n")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    installed = any(e.value == "pytest_gpt2" for e in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "oracle.pytest_gpt2"]

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=NEVER)

    return run


def test_nothing_is_added_unless_asked_for(suite):
    assert "1 passed" in suite().stdout


def test_the_checks_run_beside_their_own_tests(suite):
    done = suite("--gpt2-subject=theirs", "--gpt2-examples=20", "--gpt2-seed=0", "-v")
    assert done.returncode == 1
    assert "test_own.py::test_own PASSED" in done.stdout
    assert re.search(r"gpt2\[ops/relu\] .*PASSED", done.stdout)
    assert re.search(r"gpt2\[ops/gelu\] .*FAILED", done.stdout)
    assert re.search(r"gpt2\[model/logits\] .*SKIPPED", done.stdout)
    assert "theirs, float32: WRONG" in done.stdout
    assert "ops/gelu                                 wrong" in done.stdout


def test_some_checks_may_be_chosen(suite):
    done = suite("--gpt2-subject=theirs", "-k", "gpt2 and relu")
    assert done.returncode == 0
    assert "1 passed" in done.stdout


def test_a_missing_subject_is_one_line(suite):
    done = suite("--gpt2-subject=nowhere")
    assert done.returncode == 4
    assert "ERROR: nowhere could not be loaded: ModuleNotFoundError" in done.stderr
    assert "Traceback" not in done.stderr
