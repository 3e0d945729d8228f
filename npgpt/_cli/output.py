"""Output of commands: messages, JSON, tables for people."""

import json
import math
import shutil
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from npgpt._quoting import on_one_line, without_commands
from npgpt.errors import CheckpointWarning

WIDTH = 100  # columns that a table of tokens may take where there is no terminal
_LONGEST_PIECE = 10  # columns of a token
_LARGE = 1e7  # from there on a number is written with an exponent


def say(message: str) -> None:
    """Print a message as one line on standard error, whatever characters it quotes."""
    if sys.stderr is not None:
        print(f"npgpt: {on_one_line(message)}", file=sys.stderr)


def shown(text: str, *, raw: bool) -> str:
    """A text of a model or a file, as standard output should have it.

    Without `raw`, nothing in it commands a terminal: it is as `without_commands` has it there.
    """
    return text if raw or not sys.stdout.isatty() else without_commands(text)


@contextmanager
def saying_warnings() -> Iterator[None]:
    """Warnings that come within are said, one line each, where it ends."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CheckpointWarning)
        yield
    for warning in caught:
        say(f"warning: {warning.message}")


def print_json(command: str, fields: Mapping[str, Any]) -> None:
    """Print a JSON object as one line of ASCII; null stands for a number that is not finite.

    Its first field names its schema, `npgpt.COMMAND/1`, which is docs/schemas/COMMAND.json. The
    number grows when a field goes or means something else.
    """
    print(json.dumps({"schema": f"npgpt.{command}/1", **_finite(fields)}, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    return value


def print_table(rows: Iterable[tuple[str, ...]], *, left: int) -> None:
    """Print rows in columns, the first `left` of them flush left, the others flush right.

    The last column is not padded. What is not printed, in names from a file, is escaped.
    """
    table = [tuple(map(on_one_line, row)) for row in rows]
    widths = [max(map(columns, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = zip(row[:-1], widths, strict=False)
        padded = [_pad(cell, width, left=i < left) for i, (cell, width) in enumerate(cells)]
        print("  ".join([*padded, row[-1]]).rstrip())


def columns(text: str) -> int:
    """How many columns of a terminal a printable text takes.

    >>> columns("abc"), columns("日本"), columns("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(c) in ("Mn", "Me")
        else 2
        if unicodedata.east_asian_width(c) in ("W", "F")
        else 1
        for c in text
    )


def _pad(cell: str, width: int, *, left: bool) -> str:
    space = " " * (width - columns(cell))
    return cell + space if left else space + cell


def short(text: str) -> str:
    """A token for a column of a table, cut where it is long.

    >>> short("' countrymen'")
    "' country…"
    """
    return text if len(text) <= _LONGEST_PIECE else text[: _LONGEST_PIECE - 1] + "…"


def number(value: float, form: str = ".4f") -> str:
    """A number for a column of a table, which no value makes wide.

    >>> number(0.25), number(-2.5e30)
    ('0.2500', '-2.5000e+30')
    """
    return format(value, form if abs(value) < _LARGE else form.replace("f", "e"))


def signed(value: float) -> str:
    """A number of which the sign matters.

    >>> signed(0.25), signed(float("nan"))
    ('+0.2500', 'nan')
    """
    return number(value, "+.4f").replace("+nan", "nan")


def print_grid(rows: Sequence[Sequence[str]], *, width: int | None = None) -> None:
    """Print a table whose first column is flush left, the others flush right.

    What is wider than `width`, by default the terminal or else 100 columns, comes in blocks of
    columns, an empty line between them, each with the first.

    >>> print_grid([["", "one", "two"], ["a", "1", "2"]], width=8)
       one
    a    1
    <BLANKLINE>
       two
    a    2
    """
    width = _width() if width is None else width
    printable = [tuple(map(on_one_line, row)) for row in rows]
    for number, block in enumerate(_blocks(printable, width)):
        if number:
            print()
        for line in block:
            print("  ".join(line).rstrip())


def _width() -> int:
    if not sys.stdout.isatty():
        return WIDTH
    return shutil.get_terminal_size((WIDTH, 0)).columns


def _blocks(rows: Sequence[Sequence[str]], width: int) -> Iterator[list[tuple[str, ...]]]:
    first, *others = [
        _padded(column, number) for number, column in enumerate(zip(*rows, strict=True))
    ]
    block, used = [first], columns(first[0])
    for column in others:
        if len(block) > 1 and used + 2 + columns(column[0]) > width:
            yield list(zip(*block, strict=True))
            block, used = [first], columns(first[0])
        block.append(column)
        used += 2 + columns(column[0])
    yield list(zip(*block, strict=True))


def _padded(column: Sequence[str], number: int) -> list[str]:
    widest = max(map(columns, column))
    return [_pad(cell, widest, left=number == 0) for cell in column]
