"""The program as a process: what it imports, and how it ends."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.command_line import interruptible, output, process, run
from tests.helpers.patience import NEVER

COMMANDS = (
    "generate",
    "score",
    "tokenize",
    "audit",
    "lens",
    "attribute",
    "patch",
    "diff",
    "inspect",
    "convert",
    "bench",
)
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and pipes as POSIX has them")
LISTED = """
import sys
before = set(sys.modules)
import npgpt, npgpt._cli.program
from npgpt import *  # each public name and package
# What has no spec was not imported from a file: Cython makes such modules.
new = (name for name in set(sys.modules) - before if getattr(sys.modules[name], "__spec__", None))
print(*sorted({name.partition(".")[0] for name in new}))
"""


def test_nothing_but_numpy_and_the_standard_library_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"numpy", "npgpt"}


def test_a_process_gives_what_main_gives(model: Path) -> None:
    argv = ["generate", "--model", model, "Shall I"]
    started = process(argv, stdout=subprocess.PIPE)
    out, err = started.communicate()
    assert (started.returncode, err) == (0, b"")
    assert out.decode() == output(*argv)


def test_an_error_is_one_line_and_exit_code_2(model: Path) -> None:
    started = process(["generate", "--model", model, "--top-p", "1.5", "x"])
    _, err = started.communicate()
    assert started.returncode == 2
    assert err.decode().splitlines() == [
        run("generate", "--model", model, "--top-p", "1.5", "x").err.strip()
    ]


@posix_only
def test_text_comes_piece_by_piece_and_ctrl_c_ends_it_quietly(endless_model: Path) -> None:
    argv = ["generate", "--model", endless_model, "Shall I"]
    started = process(argv, stdout=subprocess.PIPE, preexec_fn=interruptible)
    assert started.stdout is not None
    assert started.stdout.read(40).startswith(b"Shall I")
    assert started.poll() is None, "text came before the end"
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=NEVER)
    assert started.returncode == 130
    assert err == b""
    assert out.endswith(b"\n")


@posix_only
def test_a_reader_that_leaves_ends_it_quietly(endless_model: Path) -> None:
    argv = ["generate", "--model", endless_model, "Shall I"]
    started = process(argv, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stderr is not None
    started.stdout.read(5)
    started.stdout.close()
    assert started.wait(timeout=NEVER) == 141
    assert started.stderr.read() == b""
    started.stderr.close()


@posix_only
@pytest.mark.parametrize(
    "argv",
    [["generate", "x"], ["score", "xyz"], ["tokenize", "x"], ["inspect"], ["inspect", "--help"]],
    ids=" ".join,
)
def test_no_reader_at_all_ends_it_quietly(model: Path, argv: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    started = process([*argv, "--model", model], stdout=writing)
    os.close(writing)
    _, err = started.communicate()
    assert (started.returncode, err) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, the disk that is full")
def test_a_full_disk_is_an_error(model: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        started = process(["tokenize", "--model", model, "Shall I"], stdout=full)
        _, err = started.communicate()
    assert started.returncode == 2
    assert err.startswith(b"npgpt: the output cannot be written")
    assert err.count(b"\n") == 1


def test_no_standard_input_is_an_empty_one(model: Path) -> None:
    started = process(["generate", "--model", model, "-"], stdin=subprocess.DEVNULL)
    _, err = started.communicate()
    assert (started.returncode, err.count(b"\n")) == (2, 1)
    assert b"TEXT '-' holds nothing" in err


def test_what_the_encoding_lacks_is_escaped(model: Path) -> None:
    argv = ["tokenize", "--model", model, "--decode", "127 102 198"]  # é and a line break
    for encoding, wanted in (("ascii", b"\\xe9\n\n"), ("utf-8", "é\n\n".encode())):
        started = process(argv, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": encoding})
        out, err = started.communicate()
        assert (started.returncode, out, err) == (0, wanted, b"")


def test_version_names_what_computes() -> None:
    line = output("--version")
    assert line.startswith("npgpt ")
    assert f"numpy {np.__version__}, python {platform.python_version()}\n" in line


@pytest.mark.parametrize("command", [(), *((command,) for command in COMMANDS)])
def test_help_goes_well(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    from npgpt._cli.program import main

    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: npgpt")
    assert all(name in text for name in command or COMMANDS)
