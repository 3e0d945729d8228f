"""Readers of one setting's value: of what kind it must be, and in which range.

A reader takes the setting's name and the value given. It returns the plain Python value, or raises
SettingError. NumPy's scalars are welcome; a boolean is no number.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np

from npgpt.errors import SettingError

Reader: TypeAlias = Callable[[str, Any], Any]


def flag(name: str, value: Any) -> bool:
    """True or False; a 0 or 1 is refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise _error(name, value, "True or False")
    return bool(value)


def whole(least: int) -> Reader:
    """A reader of whole numbers of `least` or more."""

    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
            raise _error(name, value, f"a whole number, {least} or more")
        return int(value)

    return read


def number(expected: str, allowed: Callable[[float], bool]) -> Reader:
    """A reader of finite numbers that are `allowed`; `expected` says so in words."""

    def read(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise _error(name, value, expected)
        try:
            plain = float(value)
        except OverflowError:
            plain = math.inf
        if not math.isfinite(plain) or not allowed(plain):
            raise _error(name, value, expected)
        return plain

    return read


def token_ids(name: str, value: Any) -> int | tuple[int, ...]:
    """One id, or a tuple of different ones."""
    read = whole(0)
    if isinstance(value, (list, tuple)):
        return tuple(dict.fromkeys(read(name, token) for token in value))
    return int(read(name, value))


def texts(name: str, value: Any) -> tuple[str, ...]:
    """A tuple of texts that are not empty; one text is a tuple of it."""
    many = (value,) if isinstance(value, str) else value
    if not isinstance(many, (list, tuple)) or not all(isinstance(text, str) for text in many):
        raise _error(name, value, "a text, or a list of texts")
    if "" in many:
        raise _error(name, value, "texts that are not empty (every text holds the empty one)")
    return tuple(many)


def _error(name: str, value: Any, expected: str) -> SettingError:
    return SettingError(f"{name} is {value!r}; give {expected}")
