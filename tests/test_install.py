"""What a stranger does first: build a wheel, install it where nothing else is, generate text."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a new virtual environment that holds npgpt's wheel."""
    folder = tmp_path_factory.mktemp("install")
    built = _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder / "wheel", ROOT)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip(f"pip cannot fetch hatchling, which builds the wheel: {built.stderr[-300:]}")
    assert built.returncode == 0, built.stderr
    venv.create(folder / "env", with_pip=True)
    scripts = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = (folder / "wheel").glob("npgpt-*.whl")
    done = _run(scripts / "python", "-m", "pip", "install", wheel)
    if done.returncode and "numpy" in done.stderr:
        pytest.skip(f"pip cannot fetch NumPy: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return scripts


def test_needs_nothing_but_numpy(installed: Path) -> None:
    listed = _run(installed / "python", "-m", "pip", "list", "--format=freeze").stdout.split()
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
