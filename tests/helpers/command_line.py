"""Running the command line: in this process, and as a process of its own."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import npgpt
from npgpt._cli.program import main


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def run(*argv: object) -> Ran:
    """`npgpt ARGV` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in argv])
    return Ran(code, out.getvalue(), err.getvalue())


def output(*argv: object) -> str:
    """What `npgpt ARGV` prints, once it has gone well and without a word on standard error."""
    ran = run(*argv)
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def process(argv: Sequence[object], **keywords: Any) -> "subprocess.Popen[bytes]":
    """`python -m npgpt ARGV` as a process; any warning would end it."""
    command = [sys.executable, "-W", "error", "-m", "npgpt", *map(str, argv)]
    home = str(Path(npgpt.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": home} | keywords.pop("env", {})
    # With it, Python itself would flush every piece at once.
    environment.pop("PYTHONUNBUFFERED", None)
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, **keywords)


def interruptible() -> None:
    """Let a process end by Ctrl-C: one started in the background would ignore it, as its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
