"""Documentation pages as tests: their code blocks, run in order, beside the output that they show.

The languages that a page may use, and what becomes of their blocks:

    console   each `$ command` is run by the shell; what follows is its output, both streams
    pycon     a Python session; the blocks of a page share one
    python    a file, if its first line is `# name.py`; else a part of the page's session
    json      parsed
    sh        commands that take minutes or measure the machine: not run
    text      not run: diagrams

A page's blocks share an empty folder. In an output, a line `...` stands for any number of lines.
Everything else is compared as it stands, but for decimal fractions, which may differ by one in the
last digit shown, since other machines round otherwise; and what the judge says of rounding itself
("rounding may move it by", "of what rounding may do") may be any number.
"""

import contextlib
import doctest
import io
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
LANGUAGES = ("console", "pycon", "python", "json", "sh", "text")
# Commands about the project itself: continuous integration runs them as they are.
NOT_RUN = ("pip install", "tox", "git ")

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)
_FRACTION = re.compile(r"\d+\.\d+(?:e[-+]\d+)?")
_NUMBER = r"\d[\d.]*(?:e[-+]\d+)?"
_ROUNDING = re.compile(
    rf"(?<=rounding may move it by ){_NUMBER}|(?<=within ){_NUMBER}(?= of what rounding may do)"
)
_FILE = re.compile(r"# (\w+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A code block: `start` is where its text begins in the page."""

    page: Path
    start: int
    line: int
    language: str
    text: str
    indented: bool = False


@dataclass(frozen=True)
class Example:
    """A command, or a statement, with the output shown below it and what it printed."""

    block: Block
    start: int  # of the output, in the block's text
    source: str
    shown: str
    printed: str

    @property
    def holds(self) -> bool:
        """Whether the output shown is the one printed."""
        return same_output(self.shown, self.printed)

    def __str__(self) -> str:
        line = self.block.line + self.block.text.count("\n", 0, self.start)
        place = f"{self.block.page.relative_to(ROOT)}:{line}"
        return f"{place}\n{self.source}\n--- shown\n{self.shown}--- printed\n{self.printed}"


def pages() -> list[Path]:
    """Every page whose blocks are run."""
    tops = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
    return [path for name in tops if (path := ROOT / name).exists()] + sorted(
        (ROOT / "docs").glob("**/*.md")
    )


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            match.start("text"),
            text.count("\n", 0, match.start("text")) + 1,
            match["language"],
            match["text"],
            bool(match["indent"]),
        )
        for match in _BLOCK.finditer(text)
    ]


def run(page: Path, folder: Path) -> Iterator[Example]:
    """Each example of a page, once it has run in `folder`, which is the working directory."""
    session: dict[str, Any] = {"__name__": "__main__"}
    with np.printoptions():  # what a page sets ends with it
        yield from _run(page, folder, session)


def _run(page: Path, folder: Path, session: dict[str, Any]) -> Iterator[Example]:
    for block in blocks(page):
        if block.language == "console":
            yield from _run_commands(block, folder)
        elif block.language == "pycon":
            yield from _run_session(block, session)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "python":
            if file := _FILE.match(block.text):
                (folder / file[1]).write_text(block.text, encoding="utf-8")
            else:
                padding = "\n" * (block.line - 1)  # so that errors name the page's lines
                exec(compile(padding + block.text, block.page, "exec"), session)


def commands(block: Block) -> Iterator[tuple[str, int, str]]:
    """Each command of a console block, where its output starts, and that output."""
    for match in re.finditer(r"^\$ (.*(?:\\\n.*)*)\n((?:(?!\$ ).*\n)*)", block.text, re.M):
        yield match[1], match.start(2), match[2]


def _run_commands(block: Block, folder: Path) -> Iterator[Example]:
    for command, start, shown in commands(block):
        if command.startswith(NOT_RUN):
            continue
        search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            command,
            shell=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            cwd=folder,
            env=os.environ
            | {"PATH": search, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "PYTHONUTF8": "1"},
        )
        yield Example(block, start, command, shown, done.stdout)


def _run_session(block: Block, session: dict[str, Any]) -> Iterator[Example]:
    for example in doctest.DocTestParser().get_examples(block.text, str(block.page)):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile(example.source, str(block.page), "single"), session)
            except Exception:
                kind, *_ = traceback.format_exception_only(*sys.exc_info()[:2])
                print(f"Traceback (most recent call last):\n    ...\n{kind}", end="")
        lines = block.text.splitlines(keepends=True)
        source_lines = example.source.count("\n")
        start = sum(map(len, lines[: example.lineno + source_lines]))
        shown = block.text[start:]
        shown = shown[: re.search(r"^(>>> |\Z)|^\n", shown, re.M).start()]  # type: ignore[union-attr]
        text = re.sub(r"^$\n", "<BLANKLINE>\n", printed.getvalue(), flags=re.M)
        yield Example(block, start, example.source.rstrip(), shown, text)


def same_output(shown: str, printed: str) -> bool:
    """Whether an output is as shown, with `...` on a line of its own for any number of lines.

    >>> same_output("a 1.25\\n...\\nz\\n", "a 1.26\\nb\\nc\\nz\\n")
    True
    >>> same_output("a 1.25\\n", "a 1.27\\n")
    False
    >>> same_output("within 0.3 of what rounding may do\\n", "within 4 of what rounding may do\\n")
    True
    """
    wanted, given = shown.rstrip().split("\n"), printed.rstrip().split("\n")
    return _same_lines([w.rstrip() for w in wanted], [g.rstrip() for g in given])


def _same_lines(shown: list[str], printed: list[str]) -> bool:
    first, *parts = _between_holes(shown)
    if not parts:
        return _equal(first, printed)
    last = parts.pop()
    at, end = len(first), len(printed) - len(last)
    if end < at or not _equal(first, printed[:at]):
        return False
    for part in parts:
        while not _equal(part, printed[at : at + len(part)]):
            at += 1
            if at + len(part) > end:
                return False
        at += len(part)
    return at <= end and _equal(last, printed[end:])


def _between_holes(lines: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in lines:
        if line == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _equal(shown: list[str], printed: list[str]) -> bool:
    return len(shown) == len(printed) and all(
        line == other or _nearly(line, other) for line, other in zip(shown, printed, strict=True)
    )


def _nearly(shown: str, printed: str) -> bool:
    shown, printed = (_ROUNDING.sub("~", line) for line in (shown, printed))
    if _FRACTION.sub("#", shown) != _FRACTION.sub("#", printed):
        return False
    pairs = zip(_FRACTION.findall(shown), _FRACTION.findall(printed), strict=True)
    return all(_near(one, other) for one, other in pairs)


def _near(shown: str, printed: str) -> bool:
    unit = _last_digit(shown)
    return unit == _last_digit(printed) and abs(float(shown) - float(printed)) <= 1.001 * unit


def _last_digit(number: str) -> float:
    digits, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
