"""Names for the array types that signatures use, and how NumPy is to behave on them."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]  # activations and weights, float32 or float64
Tokens = npt.NDArray[np.integer[Any]]  # token ids or positions
Mask = npt.NDArray[np.bool_]  # True where something is real, or may be looked at


def quiet() -> np.errstate:
    """A context in which arithmetic gives inf and NaN without a word, as IEEE 754 defines them."""
    return np.errstate(over="ignore", divide="ignore", invalid="ignore")
