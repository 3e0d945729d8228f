"""Text and JSON files on disk, where whatever goes wrong names the file."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from npgpt.errors import TokenizerError


@contextlib.contextmanager
def reading(*files: Path) -> Iterator[None]:
    """Whatever goes wrong within becomes a TokenizerError that names the files."""
    where = " with ".join([str(files[0]), *(file.name for file in files[1:])])
    try:
        yield
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{where}: not UTF-8 at byte {error.start}; {error.reason}") from None
    except json.JSONDecodeError as error:
        raise TokenizerError(f"{where}: not JSON: {error}; is the file whole?") from None
    except RecursionError:
        raise TokenizerError(f"{where}: nested too deeply to be read") from None
    except (OSError, ValueError) as error:  # TokenizerError is a ValueError too
        raise TokenizerError(f"{where}: {error}") from None


def read_text(file: Path) -> str:
    """The file's text, which must be UTF-8; its line ends are kept."""
    return file.read_bytes().decode()


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object that the file holds; a key given twice is an error."""
    document = json.loads(read_text(file), object_pairs_hook=_unique)
    if not isinstance(document, dict):
        raise TokenizerError(f"holds a {type(document).__name__}; expected a JSON object")
    return document


def write_text(file: Path, text: str) -> None:
    """Write the text as UTF-8, its line ends kept."""
    file.write_text(text, encoding="utf-8", newline="")


def write_object(file: Path, document: dict[str, Any]) -> None:
    """Write the object as JSON."""
    write_text(file, json.dumps(document, ensure_ascii=False) + "\n")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in values:
                raise TokenizerError(f"{key!r} is given twice, as {values[key]!r} and {value!r}")
            values[key] = value
    return document
