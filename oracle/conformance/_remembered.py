"""Answers of the reference about the examples of a check, each worked out once."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")
# More than any check tries; an example is judged once for each of many mutants.
MOST = 1024


def remembered(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """The function, which remembers what it gave for these very objects, not for equal ones.

    >>> calls = []
    >>> first = remembered(lambda row: calls.append(row) or row[0])
    >>> row = [1]
    >>> first(row), first(row), first([2]), len(calls)
    (1, 1, 2, 2)
    """
    known: dict[tuple[int, ...], tuple[tuple[Any, ...], Answer]] = {}

    @functools.wraps(function)
    def found(*args: Any) -> Answer:
        key = tuple(map(id, args))
        if key not in known:
            if len(known) >= MOST:
                del known[next(iter(known))]
            # The objects are kept too, so that no other may get their ids.
            known[key] = args, function(*args)
        return known[key][1]

    return found
