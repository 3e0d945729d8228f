"""Strict JSON, for texts from strangers: one meaning or an error."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

from npgpt._quoting import quoted
from npgpt.errors import NpgptError

_LONGEST_NUMBER = 40
_DEEPEST = 100  # lists and objects in one another; others nest fewer than ten
_TOO_DEEP = f"lists or objects nested too deeply; npgpt follows {_DEEPEST} levels"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # which UTF-8 cannot hold otherwise


def parse(data: bytes, where: str, *, limit: int, error: type[NpgptError]) -> Any:
    """The value of a JSON text in UTF-8.

    Stricter than `json.loads`: raises `error`, starting with `where`, for a text of more than
    `limit` bytes, a byte order mark, a field given twice, NaN and infinity (also as 1e999), a
    number of more than 40 characters, half a surrogate pair, and lists and objects nested deeper
    than 100: what goes through the value later may recurse. Python needs up to about 35 bytes of
    memory for each byte of (contrived) JSON.

    >>> from npgpt.errors import ConfigError
    >>> parse(b"[1, NaN]", "an example", limit=100, error=ConfigError)
    Traceback (most recent call last):
        ...
    npgpt.errors.ConfigError: an example: NaN is not JSON; give a finite number
    """

    def refuse(reason: str) -> NoReturn:
        raise error(f"{where}: {reason}")

    if len(data) > limit:
        refuse(f"{len(data)} bytes of JSON; npgpt reads at most {limit}")
    if data.startswith(b"\xef\xbb\xbf"):
        refuse("starts with a byte order mark; JSON is plain UTF-8")
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=lambda pairs: _object(pairs, refuse),
            parse_int=lambda digits: int(_number(digits, refuse)),
            parse_float=lambda digits: _finite(digits, refuse),
            parse_constant=lambda name: refuse(f"{name} is not JSON; give a finite number"),
        )
    except UnicodeDecodeError as fault:
        refuse(f"not UTF-8: {fault.reason} at byte {fault.start}")
    except json.JSONDecodeError as fault:
        refuse(f"not JSON: {fault.msg} at character {fault.pos}; is the file whole?")
    except RecursionError:
        refuse(_TOO_DEEP)
    if _deeper(value, _DEEPEST):
        refuse(_TOO_DEEP)
    if _SURROGATE.search(data):
        _check_unicode(value, refuse)
    return value


def parse_object(data: bytes, where: str, *, limit: int, error: type[NpgptError]) -> dict[str, Any]:
    """The fields of a JSON object; as `parse`, and anything but an object is an error.

    >>> from npgpt.errors import ConfigError
    >>> parse_object(b'{"a": 1}', "an example", limit=100, error=ConfigError)
    {'a': 1}
    """
    value = parse(data, where, limit=limit, error=error)
    if not isinstance(value, dict):
        raise error(f"{where}: holds a {type(value).__name__}; expected a JSON object")
    return value


def _object(pairs: list[tuple[str, Any]], refuse: Callable[[str], NoReturn]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        refuse(f"the field {quoted(name)} is given twice")
    return fields


def _deeper(value: Any, most: int) -> bool:
    """Whether lists and objects are nested deeper than `most`."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(most):
        level = [
            part
            for outer in level
            for part in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(part, (dict, list))
        ]
    return bool(level)


def _check_unicode(value: Any, refuse: Callable[[str], NoReturn]) -> None:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str):
            try:
                part.encode()
            except UnicodeEncodeError:
                refuse(f"half a surrogate pair in {quoted(part)}")


def _number(digits: str, refuse: Callable[[str], NoReturn]) -> str:
    if len(digits) > _LONGEST_NUMBER:
        refuse(f"a number of {len(digits)} characters; the longest allowed has {_LONGEST_NUMBER}")
    return digits


def _finite(digits: str, refuse: Callable[[str], NoReturn]) -> float:
    value = float(_number(digits, refuse))
    if not math.isfinite(value):
        refuse(f"{digits} is too large for a number")
    return value
