"""Bounds: how large an honest rounding error may be, derived for ops, measured for models.

Each function named as an op gives, for the arguments of that op and a dtype, the largest error that
honest arithmetic in that dtype may make, element by element. `excess` compares with it: at most 1
is within, which `assert_within_rounding` asserts. `noise_floor` measures what rounding does to
whole models, one example at a time.

>>> import numpy as np
>>> from oracle import bounds
>>> x, weight = np.ones((1, 4), np.float32), np.ones((4, 2), np.float32)
>>> allowed = bounds.linear(x, weight, None, dtype="float32")
>>> bounds.excess(x @ weight, np.full((1, 2), 4.0), allowed) <= 1
True
"""

from typing import TYPE_CHECKING

from oracle._lazy import lazy
from oracle.bounds._assertion import assert_within_rounding

# By name, since each of these four is also the name of its module.
from oracle.bounds._attention import attention
from oracle.bounds._compare import excess
from oracle.bounds._layer_norm import layer_norm
from oracle.bounds._linear import embedding, linear
from oracle.bounds._rounding import FORMATS, Format, format_of, gamma
from oracle.bounds._softmax import log_softmax, softmax

if TYPE_CHECKING:
    from oracle.bounds._activation import ACTIVATIONS, gelu, gelu_new, relu, silu
    from oracle.bounds._noise import FACTOR, Measured, measure, noise_floor

__all__ = [
    "ACTIVATIONS",
    "FACTOR",
    "FORMATS",
    "Format",
    "Measured",
    "assert_within_rounding",
    "attention",
    "embedding",
    "excess",
    "format_of",
    "gamma",
    "gelu",
    "gelu_new",
    "layer_norm",
    "linear",
    "log_softmax",
    "measure",
    "noise_floor",
    "relu",
    "silu",
    "softmax",
]

# These import SciPy and PyTorch.
__getattr__ = lazy(
    __name__,
    {
        "ACTIVATIONS": "_activation",
        "FACTOR": "_noise",
        "Measured": "_noise",
        "gelu": "_activation",
        "gelu_new": "_activation",
        "measure": "_noise",
        "noise_floor": "_noise",
        "relu": "_activation",
        "silu": "_activation",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
