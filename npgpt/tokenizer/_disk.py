"""Reading and writing of text and JSON on disk, where whatever goes wrong names the file."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from npgpt import _strict_json as strict_json
from npgpt.errors import TokenizerError

# What keeps a hostile file from taking more memory than its size and 64 MB. A tokenizer.json of
# 100,000 tokens, with a line for each half of a merge, has 8 MB and 400,000 values.
LIMIT = 8_000_000
FIELDS = 120_000
VALUES = 420_000
LINES = 120_000
# Python takes four bytes for each character of a text with one that has four in UTF-8, also where
# JSON has it as a pair of escapes.
_WIDE = re.compile(rb"[\xf0-\xff]|\\u[dD][89abAB]")
_WIDE_LIMIT = LIMIT // 2


@contextlib.contextmanager
def reading(*files: Path) -> Iterator[None]:
    """Whatever goes wrong within becomes a TokenizerError that names the files."""
    where = " with ".join([str(files[0]), *(file.name for file in files[1:])])
    try:
        yield
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{where}: not UTF-8 at byte {error.start}; {error.reason}") from None
    except OSError as error:
        raise TokenizerError(f"{where}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # TokenizerError is one too
        raise TokenizerError(f"{where}: {error}") from None


def read_text(file: Path) -> str:
    """The file's text, which must be UTF-8; its line ends are kept.

    Raises TokenizerError, naming the file, for anything but a regular file (a pipe could block for
    ever), and for a file that is longer than the merges of any GPT-2.
    """
    with reading(file):
        data = _read(file)
        _check_count(data.count(b"\n"), LINES, "lines")
        return data.decode()


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object that the file holds.

    Raises TokenizerError, naming the file, for what `strict_json` refuses, for anything but a
    regular file, and for a file that is longer, or holds more, than the tokenizer of any GPT-2.
    """
    with reading(file):
        data = _read(file)
        # Those within texts count too, since finding out which these are takes longer.
        _check_count(data.count(b":"), FIELDS, "fields")
        _check_count(sum(map(data.count, (b",", b"[", b"{"))), VALUES, "values")
    return strict_json.parse_object(data, str(file), limit=LIMIT, error=TokenizerError)


def write_text(file: Path, text: str) -> None:
    """Write the text as UTF-8, its line ends kept."""
    file.write_text(text, encoding="utf-8", newline="")


def write_object(file: Path, document: dict[str, Any]) -> None:
    """Write the object as JSON."""
    write_text(file, json.dumps(document, ensure_ascii=False) + "\n")


def _check_count(count: int, most: int, what: str) -> None:
    if count > most:
        raise TokenizerError(
            f"about {count} {what}; npgpt reads tokenizers of 100,000 tokens, at most {most} {what}"
        )


def _read(file: Path) -> bytes:
    if file.exists() and not file.is_file():
        raise TokenizerError("not a regular file; a tokenizer is made of those only")
    with file.open("rb") as opened:
        data = opened.read(LIMIT + 1)
    limit = _WIDE_LIMIT if _WIDE.search(data) else LIMIT
    if len(data) > limit:
        size = file.stat().st_size
        wide = "" if limit == LIMIT else " of text that has characters beyond U+FFFF"
        raise TokenizerError(f"{size} bytes{wide}; npgpt reads at most {limit}")
    return data
