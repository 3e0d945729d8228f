"""JSON from strangers: one meaning or an error."""

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from npgpt.checkpoints.quoting import quoted
from npgpt.errors import CheckpointError

# Python needs up to about 35 bytes of memory for each byte of (contrived) JSON, so this is what
# keeps a hostile file from taking much memory. A header of GPT-2 XL has 60,000 bytes.
LIMIT = 1_000_000
_LONGEST_NUMBER = 40


def parse(data: bytes, where: str) -> Any:
    """The value of a JSON text in UTF-8.

    Stricter than `json.loads`: raises CheckpointError, starting with `where`, for a text over
    1 MB, a byte order mark, a field given twice, NaN and infinity (also as 1e999), a number of
    more than 40 characters, half a surrogate pair, and nesting deeper than Python can follow.

    >>> parse(b'{"a": [1, 2.5]}', "an example")
    {'a': [1, 2.5]}
    >>> parse(b'{"a": 1, "a": 2}', "an example")
    Traceback (most recent call last):
        ...
    npgpt.errors.CheckpointError: an example: the field 'a' is given twice
    """

    def refuse(reason: str) -> NoReturn:
        raise CheckpointError(f"{where}: {reason}")

    if len(data) > LIMIT:
        refuse(f"{len(data)} bytes of JSON; npgpt reads at most {LIMIT}")
    if data.startswith(b"\xef\xbb\xbf"):
        refuse("starts with a byte order mark; JSON is plain UTF-8")
    try:
        return json.loads(
            data.decode(),
            object_pairs_hook=lambda pairs: _object(pairs, refuse),
            parse_int=lambda digits: int(_number(digits, refuse)),
            parse_float=lambda digits: _finite(digits, refuse),
            parse_constant=lambda name: refuse(f"{name} is not JSON; give a finite number"),
        )
    except UnicodeDecodeError as error:
        refuse(f"not UTF-8: {error.reason} at byte {error.start}")
    except json.JSONDecodeError as error:
        refuse(f"not JSON: {error.msg} at character {error.pos}")
    except RecursionError:
        refuse("lists or objects nested too deeply")


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """The fields of a JSON object; as `parse`, and anything but an object is an error.

    >>> parse_object(b"[]", "an example")
    Traceback (most recent call last):
        ...
    npgpt.errors.CheckpointError: an example: holds a list; expected a JSON object
    """
    value = parse(data, where)
    if not isinstance(value, dict):
        raise CheckpointError(f"{where}: holds a {type(value).__name__}; expected a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]], refuse: Callable[[str], NoReturn]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        for text in (name, value):
            if isinstance(text, str) and not _is_unicode(text):
                refuse(f"half a surrogate pair in {quoted(text)}")
        if name in fields:
            refuse(f"the field {quoted(name)} is given twice")
        fields[name] = value
    return fields


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _number(digits: str, refuse: Callable[[str], NoReturn]) -> str:
    if len(digits) > _LONGEST_NUMBER:
        refuse(f"a number of {len(digits)} characters; the longest allowed has {_LONGEST_NUMBER}")
    return digits


def _finite(digits: str, refuse: Callable[[str], NoReturn]) -> float:
    value = float(_number(digits, refuse))
    if not math.isfinite(value):
        refuse(f"{digits} is too large for a number")
    return value
