"""Every command and code block of the README does what the README says."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)
# Commands that install or test the project itself: continuous integration runs them as they are.
OUTSIDE = ("pip install", "tox")


def _commands() -> list[tuple[str, str]]:
    """Each command shown after `$ `, with the output shown below it."""
    found = []
    for language, text in BLOCKS:
        if language == "console":
            for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
                command, _, output = part.partition("\n")
                found.append((command.removeprefix("pip install . && "), output))
    return [(command, output) for command, output in found if not command.startswith(OUTSIDE)]


@pytest.mark.parametrize(("command", "output"), _commands())
def test_command_prints_what_is_shown(command: str, output: str, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
        cwd=README.parent,
    )
    printed = done.stdout + done.stderr
    # `...` on a line of its own stands for any number of lines, as in doctest.
    assert doctest.OutputChecker().check_output(output, printed, doctest.ELLIPSIS), printed


def test_python_blocks_give_what_is_shown() -> None:
    text = "\n".join(text for language, text in BLOCKS if language == "pycon")
    block = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(block)
    assert runner.summarize(verbose=False).failed == 0


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {language for language, _ in BLOCKS} <= {"console", "pycon"}
