"""Readers of one setting's value: of what kind it must be, and in which range.

A reader takes the setting's name and the value given. It returns the plain Python value, or raises
SettingError. NumPy's scalars are welcome; a boolean is no number.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias, cast

import numpy as np

from npgpt.errors import SettingError
from npgpt.quoting import brief

Reader: TypeAlias = Callable[[str, Any], Any]

LARGEST = 1e30  # of what is added to scores or scales them: their sums stay finite, in float32 too

# Python takes long over writing numbers of very many digits, or refuses to.
_LARGEST_WHOLE = 10**40 - 1


def flag(name: str, value: Any) -> bool:
    """True or False; a 0 or 1 is refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise error(name, value, "True or False")
    return bool(value)


def whole(least: int, most: int | None = None) -> Reader:
    """A reader of whole numbers of `least` or more, and `most` or fewer, of 40 digits at most."""
    end = "or more" if most is None else f"to {most}"
    last = _LARGEST_WHOLE if most is None else most

    def read(name: str, value: Any) -> int:
        is_whole = not isinstance(value, bool) and isinstance(value, Integral)
        if not is_whole or not least <= int(value) <= last:
            raise error(name, value, f"a whole number, {least} {end}")
        return int(value)

    return read


def number(expected: str, allowed: Callable[[float], bool]) -> Reader:
    """A reader of finite numbers that are `allowed`; `expected` says so in words."""

    def read(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise error(name, value, expected)
        try:
            plain = float(value)
        except OverflowError:
            plain = math.inf
        if not math.isfinite(plain) or not allowed(plain):
            raise error(name, value, expected)
        return plain

    return read


def one_of(first: Reader, *others: Reader) -> Reader:
    """A reader of what any of several takes; the error is the last one's."""

    def read(name: str, value: Any) -> Any:
        for reader in (first, *others)[:-1]:
            try:
                return reader(name, value)
            except SettingError:
                pass
        return (first, *others)[-1](name, value)

    return read


def word(allowed: str) -> Reader:
    """A reader of one word that is `allowed`, besides True and False."""

    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or value != allowed:
            raise error(name, value, f"True, False or {allowed!r}")
        return value

    return read


def function(name: str, value: Any) -> Callable[..., Any]:
    """Anything that can be called."""
    if not callable(value):
        raise error(name, value, "a function")
    return cast("Callable[..., Any]", value)


def functions(name: str, value: Any) -> tuple[Callable[..., Any], ...]:
    """A tuple of functions; one function is a tuple of it."""
    many = (value,) if callable(value) else items(name, value, "functions, or a list of them")
    return tuple(function(name, item) for item in many)


def texts(name: str, value: Any) -> tuple[str, ...]:
    """A tuple of texts that are not empty; one text is a tuple of it."""
    many = (value,) if isinstance(value, str) else value
    if not isinstance(many, (list, tuple)) or not all(isinstance(text, str) for text in many):
        raise error(name, value, "a text, or a list of texts")
    if "" in many:
        raise error(name, value, "texts that are not empty (every text holds the empty one)")
    return tuple(many)


def items(name: str, value: Any, expected: str) -> Sequence[Any]:
    """The value, if it is a list, a tuple or an array; SettingError that says what was expected."""
    if not is_list(value):
        raise error(name, value, expected)
    return cast("Sequence[Any]", value)


def is_list(value: Any) -> bool:
    """Whether it holds several values: a text does not."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def error(name: str, value: Any, expected: str) -> SettingError:
    """The error that says what was given, and what to give."""
    return SettingError(f"{name} is {brief(value)}; give {expected}")
