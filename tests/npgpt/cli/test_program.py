"""The program as a process: what it imports, and how it ends."""

import errno
import json
import os
import platform
import shutil
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


def test_json_nested_deeply_is_one_line(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "generation_config.json").write_text('{"a":' + "[" * 700 + "]" * 700 + "}")
    ran = run("inspect", folder, "--json")
    assert ran.code == 2
    assert ran.err == (
        f"npgpt: {folder}/generation_config.json: lists or objects nested too deeply; npgpt "
        "follows 100 levels\n"
    )
    assert json.loads(ran.out)["refused"] in ran.err


BROKEN = {
    MemoryError(): (2, "npgpt: there is not enough memory; ask for less at a time"),
    OSError(errno.ENOMEM, "no"): (2, "npgpt: there is not enough memory; ask for less at a time"),
    RuntimeError("a\nb"): (70, "npgpt: RuntimeError: 'a\\nb', at test_program.py:"),
    RecursionError("deep"): (70, "npgpt: RecursionError: 'deep', at test_program.py:"),
    ValueError(7): (70, "npgpt: ValueError: '7', at test_program.py:"),
}


@pytest.mark.parametrize(("error", "ended"), BROKEN.items(), ids=repr)
def test_whatever_goes_wrong_is_one_line_and_no_verdict(
    monkeypatch: pytest.MonkeyPatch, error: Exception, ended: tuple[int, str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("npgpt._cli.program.versions", fail)
    ran = run("--version")
    assert (ran.code, ran.out, ran.err.count("\n")) == (ended[0], "", 1)
    assert ran.err.startswith(ended[1])
    assert ran.code == 2 or ran.err.endswith("please report it, with the command\n")


@posix_only
@pytest.mark.parametrize("module", ["npgpt._cli.program", "numpy", "npgpt._cli.commands.diff"])
def test_ctrl_c_while_it_starts_is_quiet(module: str) -> None:
    program = (
        "import os, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from npgpt.__main__ import main\n"
        "sys.exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, "--version"],
        capture_output=True,
        preexec_fn=interruptible,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


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
