"""Names for the array types that signatures use, and how NumPy is to behave on them."""

import dataclasses
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]  # activations and weights, float32 or float64
Tokens = npt.NDArray[np.integer[Any]]  # token ids or positions
Mask = npt.NDArray[np.bool_]  # True where something is real, or may be looked at


_is_quiet: ContextVar[bool] = ContextVar("_is_quiet", default=False)


class quiet:  # noqa: N801
    """A context in which arithmetic gives inf and NaN without a word, as IEEE 754 defines them.

    Within another it costs next to nothing, and ops are called hundreds of times for a token.

    >>> with quiet(), quiet():
    ...     print(np.ones(1) / np.zeros(1))
    [inf]
    """

    def __enter__(self) -> None:
        self._state: np.errstate | None = None
        if not _is_quiet.get():
            self._state = np.errstate(over="ignore", divide="ignore", invalid="ignore")
            self._state.__enter__()
            self._token = _is_quiet.set(True)

    def __exit__(self, *exception: object) -> None:
        if self._state is not None:
            _is_quiet.reset(self._token)
            self._state.__exit__(None, None, None)


def equal_values(one: object, other: object) -> bool:
    """Whether two values hold the same, arrays within them compared by shape, dtype and elements.

    `==` raises for arrays of several elements; this looks into lists, tuples, mappings and frozen
    dataclasses. NaN equals NaN, as it does for a value that is compared with itself.

    >>> equal_values({"scores": [np.zeros(2)]}, {"scores": [np.zeros(2)]})
    True
    """
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return (
            isinstance(one, np.ndarray)
            and isinstance(other, np.ndarray)
            and (one.dtype, one.shape) == (other.dtype, other.shape)
            and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        )
    if type(one) is not type(other):
        return bool(one == other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(equal_values(a, b) for a, b in pairs)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        same_keys = one.keys() == other.keys()
        return same_keys and all(equal_values(one[key], other[key]) for key in one)
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        names = [field.name for field in dataclasses.fields(one) if field.compare]
        return all(equal_values(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)
