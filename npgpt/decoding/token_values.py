"""Readers of settings that hold token ids: phrases of them, constraints, biases.

A reader is what `values` says.
"""

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, TypeVar

from npgpt.decoding.values import LARGEST, error, is_list, items, number, whole

_Key = TypeVar("_Key")


def token_id(name: str, value: Any) -> int:
    """One token id."""
    return int(whole(0)(name, value))


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
    found = []
    for item in items(name, value, "a list of phrases, or of lists of alternative phrases"):
        several = is_list(item) and any(is_list(part) for part in item)
        alternatives = phrases(name, item if several else [item])
        found.append(tuple(dict.fromkeys(alternatives)))
    if not found:
        raise error(name, value, "at least one phrase")
    return tuple(found)


def sequence_biases(name: str, value: Any) -> tuple[tuple[tuple[int, ...], float], ...]:
    """Pairs of a phrase and its bias, from a mapping or a list of pairs; equal phrases add up."""
    expected = "a mapping from tuples of token ids to numbers"
    return _biases(name, value, expected, lambda key: phrase(name, key))


def token_biases(name: str, value: Any) -> tuple[tuple[int, float], ...]:
    """Pairs of a token id and its bias, from a mapping or a list of pairs; equal ids add up."""
    expected = "a mapping from token ids to numbers"
    return _biases(name, value, expected, lambda key: token_id(name, key))


def decay(name: str, value: Any) -> tuple[int, float]:
    """A start, a whole number from 0, and a factor above 0."""
    expected = "two numbers: after how many new tokens it starts, and the factor, above 0"
    if not is_list(value) or len(value) != 2:
        raise error(name, value, expected)
    factor = number(f"a factor above 0, at most {LARGEST:g}", lambda x: 0 < x <= LARGEST)
    return int(whole(0)(name, value[0])), factor(name, value[1])


def _biases(
    name: str, value: Any, expected: str, key_of: Callable[[Any], _Key]
) -> tuple[tuple[_Key, float], ...]:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    found: dict[_Key, float] = {}
    for pair in items(name, pairs, expected):
        if not is_list(pair) or len(pair) != 2:
            raise error(name, value, expected)
        key = key_of(pair[0])
        found[key] = _bias(name, found.get(key, 0.0) + _bias(name, pair[1]))
    return tuple(found.items())


def _bias(name: str, value: Any) -> float:
    if isinstance(value, Real) and value == -math.inf:
        return -math.inf
    expected = f"biases that are numbers, of {LARGEST:g} at most, or -inf"
    return float(number(expected, lambda x: abs(x) <= LARGEST)(name, value))
