"""Validators of settings: of which type a value must be, and in which range.

A validator takes the setting's name and the value given. It returns the plain Python value, or
raises SettingError. NumPy's scalars are welcome; a boolean is no number. The last ones are of token
ids: phrases (tuples of ids, at least one), constraints (tuples of alternative phrases), biases.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np

from npgpt._quoting import brief
from npgpt.errors import SettingError

Validator: TypeAlias = Callable[[str, Any], Any]
_Key = TypeVar("_Key")

LARGEST = 1e30  # of what is added to scores or scales them: their sums stay finite, in float32 too

# Python takes long over writing numbers of very many digits, or refuses to.
_LARGEST_INTEGER = 10**40 - 1


def boolean(name: str, value: Any) -> bool:
    """True or False; a 0 or 1 is refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise error(name, value, "True or False")
    return bool(value)


def integer(least: int, most: int | None = None) -> Validator:
    """Validates an integer: `least` or more, and `most` or fewer, of 40 digits at most."""
    end = "or more" if most is None else f"to {most}"
    last = _LARGEST_INTEGER if most is None else most

    def validate(name: str, value: Any) -> int:
        is_integer = not isinstance(value, bool) and isinstance(value, Integral)
        if not is_integer or not least <= int(value) <= last:
            raise error(name, value, f"a whole number, {least} {end}")
        return int(value)

    return validate


def number(expected: str, allowed: Callable[[float], bool]) -> Validator:
    """Validates a finite number that is `allowed`; `expected` says so in words."""

    def validate(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise error(name, value, expected)
        try:
            plain = float(value)
        except OverflowError:
            plain = math.inf
        if not math.isfinite(plain) or not allowed(plain):
            raise error(name, value, expected)
        return plain

    return validate


temperature = number("a finite number, 0 (greedy) or more", lambda x: x >= 0)
share = number("a number above 0 and at most 1", lambda x: 0 < x <= 1)
fraction = number("a number from 0 (off) to 1", lambda x: 0 <= x <= 1)
cutoff = number("a number from 0 (off), below 1", lambda x: 0 <= x < 1)
factor = number(
    f"a number from {1 / LARGEST:g} to {LARGEST:g}; 1 changes nothing",
    lambda x: 1 / LARGEST <= x <= LARGEST,
)
scale = number(f"a number from 0 to {LARGEST:g}; 1 changes nothing", lambda x: 0 <= x <= LARGEST)
offset = number(f"a number from {-LARGEST:g} to {LARGEST:g}", lambda x: abs(x) <= LARGEST)
exponent = number("a number from -100 to 100", lambda x: abs(x) <= 100)
penalty = number(f"a number from 0 (off) to {LARGEST:g}", lambda x: 0 <= x <= LARGEST)


def one_of(first: Validator, *others: Validator) -> Validator:
    """Validates what any of several takes; the error is the last one's."""

    def validate(name: str, value: Any) -> Any:
        for validator in (first, *others)[:-1]:
            try:
                return validator(name, value)
            except SettingError:
                pass
        return (first, *others)[-1](name, value)

    return validate


def word(allowed: str) -> Validator:
    """Validates one word, `allowed`; its error names True and False besides."""

    def validate(name: str, value: Any) -> str:
        if not isinstance(value, str) or value != allowed:
            raise error(name, value, f"True, False or {allowed!r}")
        return value

    return validate


def function(name: str, value: Any) -> Callable[..., Any]:
    """Anything that can be called."""
    if not callable(value):
        raise error(name, value, "a function")
    return cast("Callable[..., Any]", value)


def functions(name: str, value: Any) -> tuple[Callable[..., Any], ...]:
    """A tuple of functions; one function is a tuple of it."""
    many = (value,) if callable(value) else items(name, value, "functions, or a list of them")
    return tuple(function(name, item) for item in many)


def strings(name: str, value: Any) -> tuple[str, ...]:
    """A tuple of strings that are not empty; one string is a tuple of it."""
    many = (value,) if isinstance(value, str) else value
    if not isinstance(many, (list, tuple)) or not all(isinstance(item, str) for item in many):
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
    """Whether it holds several values: a string does not."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def error(name: str, value: Any, expected: str) -> SettingError:
    """The error that says what was given, and what to give."""
    return SettingError(f"{name} is {brief(value)}; give {expected}")


def token_id(name: str, value: Any) -> int:
    """One token id."""
    return int(integer(0)(name, value))


def token_ids(name: str, value: Any) -> int | tuple[int, ...]:
    """One id, or a tuple of different ones."""
    if isinstance(value, (list, tuple)):
        return tuple(dict.fromkeys(token_id(name, token) for token in value))
    return token_id(name, value)


def id_set(name: str, value: Any) -> tuple[int, ...]:
    """A tuple of different ids."""
    return tuple(
        dict.fromkeys(token_id(name, token) for token in items(name, value, "a list of token ids"))
    )


def phrase(name: str, value: Any) -> tuple[int, ...]:
    """A tuple of ids, at least one, in their order."""
    ids = tuple(
        token_id(name, token) for token in items(name, value, "each phrase as a list of ids")
    )
    if not ids:
        raise error(name, value, "at least one token id in each list")
    return ids


def phrases(name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    """A tuple of phrases."""
    return tuple(phrase(name, item) for item in items(name, value, "a list of lists of token ids"))


def constraints(name: str, value: Any) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """A tuple of constraints, each a tuple of alternative phrases; one phrase is a tuple of it."""
    checked = []
    for item in items(name, value, "a list of phrases, or of lists of alternative phrases"):
        several = is_list(item) and any(is_list(part) for part in item)
        alternatives = phrases(name, item if several else [item])
        checked.append(tuple(dict.fromkeys(alternatives)))
    if not checked:
        raise error(name, value, "at least one phrase")
    return tuple(checked)


def sequence_biases(name: str, value: Any) -> tuple[tuple[tuple[int, ...], float], ...]:
    """Pairs of a phrase and its bias, from a mapping or a list of pairs; equal phrases add up."""
    expected = "a mapping from tuples of token ids to numbers"
    return _biases(name, value, expected, lambda key: phrase(name, key))


def token_biases(name: str, value: Any) -> tuple[tuple[int, float], ...]:
    """Pairs of a token id and its bias, from a mapping or a list of pairs; equal ids add up."""
    expected = "a mapping from token ids to numbers"
    return _biases(name, value, expected, lambda key: token_id(name, key))


def decay(name: str, value: Any) -> tuple[int, float]:
    """A start, an integer from 0, and a factor above 0."""
    expected = "two numbers: after how many new tokens it starts, and the factor, above 0"
    if not is_list(value) or len(value) != 2:
        raise error(name, value, expected)
    base = number(f"a factor above 0, at most {LARGEST:g}", lambda x: 0 < x <= LARGEST)
    return int(integer(0)(name, value[0])), base(name, value[1])


def _biases(
    name: str, value: Any, expected: str, key_of: Callable[[Any], _Key]
) -> tuple[tuple[_Key, float], ...]:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    sums: dict[_Key, float] = {}
    for pair in items(name, pairs, expected):
        if not is_list(pair) or len(pair) != 2:
            raise error(name, value, expected)
        key = key_of(pair[0])
        sums[key] = _bias(name, sums.get(key, 0.0) + _bias(name, pair[1]))
    return tuple(sums.items())


def _bias(name: str, value: Any) -> float:
    if isinstance(value, Real) and value == -math.inf:
        return -math.inf
    expected = f"biases that are numbers, of {LARGEST:g} at most, or -inf"
    return float(number(expected, lambda x: abs(x) <= LARGEST)(name, value))
