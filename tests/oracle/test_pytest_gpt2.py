"""The module that pytest loads in every run: it needs pytest alone, and disturbs nobody."""

import ast
import shutil
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "oracle" / "pytest_gpt2.py"


@pytest.fixture
def project(pytester, monkeypatch):
    """Somebody's project; runs pytest in it, with this module as one that is installed."""
    shutil.copy(PLUGIN, pytester.path)
    pytester.makepyfile(test_own="def test_own(): pass", theirs="ops = {'relu': abs}")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(*arguments, path=""):
        monkeypatch.setenv("PYTHONPATH", f"{pytester.path}{path}")
        return pytester.runpytest_subprocess("-p", "pytest_gpt2", *arguments)

    return run


def test_it_imports_pytest_and_the_standard_library_alone():
    imported = set()
    for node in ast.parse(PLUGIN.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"pytest"}


def test_where_there_is_no_judge_pytest_runs(project):
    project().assert_outcomes(passed=1)


def test_another_package_of_that_name_is_not_disturbed(project, pytester):
    (pytester.mkpydir("oracle") / "__init__.py").write_text("ANSWER = 42\n")
    pytester.makepyfile(test_answer="import oracle\ndef test_it(): assert oracle.ANSWER == 42")
    project().assert_outcomes(passed=2)


def test_asked_to_judge_beside_another_package_it_says_which(project, pytester):
    (pytester.mkpydir("oracle") / "__init__.py").write_text("ANSWER = 42\n")
    done = project("--gpt2-subject=theirs")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    where = pytester.path / "oracle" / "__init__.py"
    done.stderr.fnmatch_lines([f"ERROR: *package `oracle`, but here that is {where} (*"])
    done.stderr.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("missing", ["torch", "hypothesis"])
def test_without_what_the_judge_needs_pytest_runs_and_says_what_to_install(
    project, pytester, missing
):
    says = f"No module named '{missing}'"
    pytester.makepyfile(**{missing: f"raise ModuleNotFoundError({says!r}, name={missing!r})"})
    project(path=f":{ROOT}").assert_outcomes(passed=1)
    pytester.makeini("[pytest]\ngpt2_subject = theirs\n")
    done = project(path=f":{ROOT}")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(
        [f"ERROR: the checks need {missing}, which is not here ({says}); pip install {missing}"]
    )
    done.stderr.no_fnmatch_line("*Traceback*")
