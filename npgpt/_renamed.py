"""Renamed keywords: refused with a hint that names the new one."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")


def renamed(**new_names: str) -> Callable[[Callable[P, Result]], Callable[P, Result]]:
    """A decorator: the function refuses each old keyword and names the new one.

    Raises TypeError, as Python does for a keyword that a function has never had.

    >>> @renamed(colour="color")
    ... def paint(*, color="red"):
    ...     return color
    >>> paint(colour="blue")
    Traceback (most recent call last):
    TypeError: paint() has no keyword 'colour'; it is called 'color' now
    """

    def decorate(function: Callable[P, Result]) -> Callable[P, Result]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> Result:
            for old in new_names.keys() & kwargs:
                name = function.__qualname__.removesuffix(".__init__")
                raise TypeError(
                    f"{name}() has no keyword {old!r}; it is called {new_names[old]!r} now"
                )
            return function(*args, **kwargs)

        return wrapper

    return decorate
