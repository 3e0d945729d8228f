"""Names for the array types that signatures use, and how NumPy is to behave on them."""

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
