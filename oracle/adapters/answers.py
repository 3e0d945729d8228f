"""What goes to a subject and what comes back, in NumPy and plain lists: copied, compared, read."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from oracle.bounds._rounding import Array

LONGEST_WORDS = 200
PLAIN = {int, float, str, bool, type(None)}
# What the functions are given in turn; further arguments come by keyword.
PARAMETERS = {
    "logits": ("config", "weights", "tokens", "mask"),
    "step": ("config", "weights", "tokens", "mask", "cache"),
    "process": ("settings", "tokens", "prompt_length", "logits"),
    "generate": ("next_logits", "prompts", "settings", "uniforms"),
    "draw": ("next_logits", "prompts", "settings"),
    "encode": ("vocabulary", "merges", "text"),
    "decode": ("vocabulary", "merges", "ids"),
    "perplexity": ("config", "weights", "tokens", "stride"),
}


def printable(text: object) -> str:
    r"""The text with an escape in place of each character that a terminal might obey.

    Line feeds stay. Whatever a subject says or is called passes through here before it is shown.

    >>> print(printable("\x1b[2J\u202ename\a"))
    \x1b[2J\u202ename\x07
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def one_line(text: object) -> str:
    r"""The first line of a text that is not empty, printable, cut to 200 characters.

    >>> one_line("\nno such file\nat line 3")
    'no such file'
    """
    line = printable(next(filter(None, map(str.strip, str(text).splitlines())), ""))
    return line if len(line) <= LONGEST_WORDS else line[: LONGEST_WORDS - 1] + "…"


def flat(value: Any) -> bool:
    """Whether it is a dict or list of nothing but numbers and texts, or tuples of them.

    Such as a vocabulary and its merges, of which there are so many that it pays to know.

    >>> flat({"a": 1}), flat([("a", "b")]), flat([[1]])
    (True, True, False)
    """
    if type(value) is dict:
        return set(map(type, value.values())) <= PLAIN
    if type(value) is not list:
        return False
    types = set(map(type, value))
    return types <= PLAIN or (types == {tuple} and set(map(type, chain(*value))) <= PLAIN)


def copied(value: Any) -> Any:
    """A copy of arrays, lists, tuples and dicts, however nested; of anything else, itself."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if flat(value):
        return value.copy()
    if isinstance(value, Mapping):
        return {key: copied(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(copied, value))
    return value


def difference(one: Any, other: Any, path: str) -> str | None:
    """Where two nested values of the same origin differ first, in bytes; None where nowhere.

    What is no array, list, tuple, dict, number or text is not looked into.

    >>> difference({"a": [1, 2]}, {"a": [1, 3]}, "x")
    'x["a"][1]'
    """
    if flat(one) and flat(other) and one == other:
        return None
    return next(_differences(one, other, path), None)


def _differences(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, np.ndarray):
        if (
            not isinstance(other, np.ndarray)
            or (one.shape, one.dtype) != (other.shape, other.dtype)
            or one.tobytes() != other.tobytes()
        ):
            yield path
    elif isinstance(one, Mapping):
        if not isinstance(other, Mapping) or one.keys() != other.keys():
            yield path
        else:
            for key in one:
                shown = f'"{key}"' if isinstance(key, str) else repr(key)
                yield from _differences(one[key], other[key], f"{path}[{shown}]")
    elif isinstance(one, (list, tuple)):
        if not isinstance(other, (list, tuple)) or len(one) != len(other):
            yield path
        else:
            for i, (a, b) in enumerate(zip(one, other, strict=True)):
                yield from _differences(a, b, f"{path}[{i}]")
    elif (
        isinstance(one, (int, float, str))
        and one is not other
        and not (type(one) is type(other) and (one == other or one != one))
    ):
        yield path


def array(value: Any) -> Array:
    """A copy in NumPy of anything that holds numbers; raises some exception for what does not.

    >>> array([1, 0.5]).tolist()
    [1.0, 0.5]
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    elif type(value) in (list, tuple) and any(hasattr(each, "detach") for each in value):
        value = [array(each) for each in value]
    copy = np.array(value)
    if copy.dtype.name == "bfloat16":  # of ml_dtypes, which JAX answers in
        copy = copy.astype(np.float32)
    if copy.dtype.kind not in "biufc":
        raise ValueError(f"dtype {copy.dtype}")
    return copy


def _ids(row: Any) -> list[int]:
    ids = array(row)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ValueError(f"shape {ids.shape}, dtype {ids.dtype}")
    return [int(token) for token in ids]


def _text_of(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return str(value)


# By the function's name; `array` reads the answers of all others.
READERS: dict[str, Callable[[Any], Any]] = {
    "generate": lambda rows: [_ids(row) for row in rows],
    "draw": lambda rows: [_ids(row) for row in rows],
    "encode": _ids,
    "decode": _text_of,
    "perplexity": lambda value: float(array(value).reshape(())),
    "step": lambda pair: (array(pair[0]), pair[1]),
}
