"""What commands print."""

import json
import math
import platform
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from npgpt.errors import NonFiniteWarning
from npgpt.tokenizer.encoding import Tokenizer


def say(message: str) -> None:
    """Print a message as one line on standard error, whatever characters it quotes."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    if sys.stderr is not None:
        print(f"npgpt: {line}", file=sys.stderr)


@contextmanager
def saying_warnings() -> Iterator[None]:
    """Warnings that come within are said, one line each, where it ends."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NonFiniteWarning)
        yield
    for warning in caught:
        say(f"warning: {warning.message}")


def print_json(fields: Mapping[str, Any]) -> None:
    """Print a JSON object as one line of ASCII; null stands for a number that is not finite."""
    print(json.dumps(_finite(fields), allow_nan=False))


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


def piece(tokenizer: Tokenizer, token: int) -> str:
    r"""A token as a Python literal on one line: a text, or bytes where it is part of a character.

    >>> from npgpt.tokenizer.training import train
    >>> tokenizer = train([], vocab_size=257)
    >>> [piece(tokenizer, token) for token in tokenizer.encode("a\né")]
    ["'a'", "'\\n'", "b'\\xc3'", "b'\\xa9'"]
    """
    data = tokenizer.decode_bytes([token])
    try:
        return repr(data.decode())
    except UnicodeDecodeError:
        return repr(data)


def pieces(tokenizer: Tokenizer | None, tokens: Iterable[int]) -> list[str] | None:
    r"""Tokens as texts for JSON, a byte that is part of a character as \x and two digits."""
    if tokenizer is None:
        return None
    return [tokenizer.decode_bytes([t]).decode(errors="backslashreplace") for t in tokens]


def versions() -> dict[str, str]:
    """The versions of what computes; npgpt's is unknown in a checkout that is not installed."""
    # Imported here because it takes a third of the time that npgpt's own modules do.
    from importlib import metadata

    try:
        own = metadata.version("npgpt")
    except metadata.PackageNotFoundError:
        own = "unknown"
    return {"npgpt": own, "numpy": np.__version__, "python": platform.python_version()}
