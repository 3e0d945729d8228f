"""What strangers do first: build the two wheels, install them where nothing else is, use them."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import torch

import npgpt
import oracle

ROOT = Path(__file__).parent.parent
RELU = """
def relu(x):
    return x * (x > 0)


subject = {"name": "theirs", "ops": {"relu": relu}}
"""


def _run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )


def _wheel(source: Path, folder: Path) -> Path:
    built = _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, source)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip(f"pip cannot fetch hatchling, which builds the wheel: {built.stderr[-300:]}")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def npgpt_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _wheel(ROOT, tmp_path_factory.mktemp("npgpt"))


@pytest.fixture(scope="module")
def oracle_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _wheel(ROOT / "oracle", tmp_path_factory.mktemp("oracle"))


def _scripts(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, npgpt_wheel: Path) -> Path:
    """The scripts folder of a new virtual environment that holds npgpt's wheel."""
    environment = tmp_path_factory.mktemp("install")
    venv.create(environment, with_pip=False)
    python = _scripts(environment) / "python"
    # By this environment's pip, and compiled when imported: half of the work for the same files.
    command = (sys.executable, "-m", "pip", "--python", python, "install", "--no-compile")
    done = _run(*command, npgpt_wheel)
    if done.returncode and "numpy" in done.stderr:
        pytest.skip(f"pip cannot fetch NumPy: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return _scripts(environment)


@pytest.fixture(scope="module")
def both_installed(
    tmp_path_factory: pytest.TempPathFactory, npgpt_wheel: Path, oracle_wheel: Path
) -> Path:
    """The Python of an environment with both wheels, and what they need from where this one is."""
    environment = tmp_path_factory.mktemp("both")
    venv.create(environment, with_pip=False)
    python = _scripts(environment) / "python"
    command = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-compile",
    )
    done = _run(*command, npgpt_wheel, oracle_wheel)
    assert done.returncode == 0, done.stderr
    (packages,) = environment.rglob("site-packages")
    (packages / "needed.pth").write_text(f"{Path(torch.__file__).parent.parent}\n")
    return python


@pytest.fixture
def own_oracle(tmp_path: Path) -> Path:
    """A project with a package `oracle` of its own, and a test that imports it."""
    (tmp_path / "oracle").mkdir()
    (tmp_path / "oracle" / "__init__.py").write_text("ANSWER = 42\n")
    (tmp_path / "test_own.py").write_text(
        "import oracle\n\n\ndef test_own():\n    assert oracle.ANSWER == 42\n"
    )
    (tmp_path / "theirs.py").write_text(RELU)
    return tmp_path


def _top(wheel: Path) -> set[str]:
    """What a wheel puts into site-packages."""
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    return {re.sub(r"-[0-9.]+\.dist-info$", ".dist-info", name) for name in names}


def test_the_wheel_of_npgpt_holds_npgpt_alone(npgpt_wheel: Path) -> None:
    assert _top(npgpt_wheel) == {"npgpt", "npgpt.dist-info"}
    with zipfile.ZipFile(npgpt_wheel) as wheel:
        (points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        assert wheel.read(points).decode().split() == [
            "[console_scripts]",
            "npgpt",
            "=",
            "npgpt.__main__:main",
        ]
        assert {"npgpt/py.typed", "npgpt/weights/shakespeare/config.json"} <= set(wheel.namelist())


def test_the_wheel_of_the_oracle_holds_the_package_and_the_plugin(oracle_wheel: Path) -> None:
    assert _top(oracle_wheel) == {"oracle", "pytest_gpt2.py", "npgpt_oracle.dist-info"}
    names = set(zipfile.ZipFile(oracle_wheel).namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "oracle").rglob("*.py")}
    assert modules - names == {"oracle/hatch_build.py", "oracle/pytest_gpt2.py"}
    beside = ("py.typed", "conformance/report.html.jinja", "adapters/PROTOCOL.md")
    assert {f"oracle/{name}" for name in beside} <= names


def test_the_two_distributions_have_one_version_and_one_licence() -> None:
    assert npgpt.__version__ == oracle.__version__
    assert (ROOT / "LICENSE").read_text() == (ROOT / "oracle" / "LICENSE").read_text()


def test_no_message_asks_for_a_name_on_an_index_that_may_be_somebody_elses() -> None:
    asked = [
        path
        for package in (npgpt, oracle)
        for path in Path(package.__path__[0]).rglob("*.py")
        if re.search("pip install .?npgpt", path.read_text(encoding="utf-8"))
    ]
    assert not asked


def test_a_project_with_an_oracle_of_its_own_is_not_disturbed(
    both_installed: Path, own_oracle: Path
) -> None:
    done = _run(both_installed, "-m", "pytest", "-p", "no:cacheprovider", cwd=own_oracle)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_asked_to_judge_there_it_says_whose_package_stands_in_the_way(
    both_installed: Path, own_oracle: Path
) -> None:
    command = (both_installed, "-m", "pytest", "-p", "no:cacheprovider", "--gpt2-subject=theirs")
    done = _run(*command, cwd=own_oracle)
    assert done.returncode == 4
    assert f"here that is {own_oracle / 'oracle' / '__init__.py'}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_installed_plugin_judges(both_installed: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(RELU)
    asked = ("--gpt2-subject=theirs:subject", "--gpt2-examples=5", "-k", "gpt2 and relu")
    command = (both_installed, "-m", "pytest", "-p", "no:cacheprovider", *asked)
    done = _run(*command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_installed_judge_judges(both_installed: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(RELU)
    asked = ("theirs:subject", "--only", "ops/relu", "--examples", "5", "--html", "report.html")
    done = _run(both_installed, "-m", "oracle", "judge", *asked, cwd=tmp_path)
    assert "theirs, float32: RIGHT" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "report.html").exists()


def test_needs_nothing_but_numpy(installed: Path) -> None:
    python = installed / "python"
    command = (sys.executable, "-m", "pip", "--python", python, "list", "--format=freeze")
    listed = _run(*command).stdout.split()
    names = {line.split("==")[0].lower() for line in listed}
    assert names - {"pip", "setuptools"} == {"npgpt", "numpy"}


def test_generates_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    prompt = "Shall I compare thee"
    done = _run(installed / "npgpt", "generate", prompt, "--max-new-tokens", "8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(prompt)
    assert len(done.stdout.strip()) > len(prompt)


def test_importing_it_imports_numpy_and_the_standard_library(installed: Path) -> None:
    script = (
        "import sys; before = set(sys.modules); import npgpt\n"
        "from npgpt import *\n"
        "roots = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(roots - set(sys.stdlib_module_names)))"
    )
    done = _run(installed / "python", "-I", "-c", script)
    assert done.stdout.split() == ["npgpt", "numpy"], done.stderr
