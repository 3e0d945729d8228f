"""Output of commands: messages, JSON, tables for people."""

import json
import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from npgpt.errors import CheckpointWarning

WIDTH = 100  # columns that a table of tokens may take
_LONGEST_PIECE = 10  # columns of a token
_LARGE = 1e7  # from there on a number is written with an exponent


def say(message: str) -> None:
    """Print a message as one line on standard error, whatever characters it quotes."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    if sys.stderr is not None:
        print(f"npgpt: {line}", file=sys.stderr)


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

    The last column is not padded.
    """
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = zip(row[:-1], widths, strict=False)
        padded = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(cells)]
        print("  ".join([*padded, row[-1]]).rstrip())


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


def print_grid(rows: Sequence[Sequence[str]], *, width: int = WIDTH) -> None:
    """Print a table whose first column is flush left, the others flush right.

    What is too wide comes in blocks of columns, an empty line between them, each with the first.

    >>> print_grid([["", "one", "two"], ["a", "1", "2"]], width=8)
       one
    a    1
    <BLANKLINE>
       two
    a    2
    """
    for number, block in enumerate(_blocks(rows, width)):
        if number:
            print()
        for line in block:
            print("  ".join(line).rstrip())


def _blocks(rows: Sequence[Sequence[str]], width: int) -> Iterator[list[tuple[str, ...]]]:
    first, *columns = [
        _padded(column, number) for number, column in enumerate(zip(*rows, strict=True))
    ]
    block, used = [first], len(first[0])
    for column in columns:
        if len(block) > 1 and used + 2 + len(column[0]) > width:
            yield list(zip(*block, strict=True))
            block, used = [first], len(first[0])
        block.append(column)
        used += 2 + len(column[0])
    yield list(zip(*block, strict=True))


def _padded(column: Sequence[str], number: int) -> list[str]:
    widest = max(map(len, column))
    return [cell.rjust(widest) if number else cell.ljust(widest) for cell in column]
