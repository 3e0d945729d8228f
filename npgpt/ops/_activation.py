"""Activation functions: all that a GPT-2 config can name, of which ReLU and SiLU are here."""

from collections.abc import Callable

import numpy as np

from npgpt._arrays import Array
from npgpt.ops._gelu import gelu, gelu_new

GONE = 1000.0


def relu(x: Array) -> Array:
    """`max(x, 0)`. x (..., n) -> (..., n), dtype kept; NaN stays NaN.

    >>> import numpy as np
    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return np.maximum(x, 0)


def silu(x: Array) -> Array:
    """`x / (1 + exp(−x))`, also known as swish. x (..., n) -> (..., n), dtype kept.

    Source: Elfwing, Uchibe & Doya 2017, "Sigmoid-Weighted Linear Units".

    >>> import numpy as np
    >>> silu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.2689,  0.    ,  0.7311])
    """
    # exp of negative numbers only, so that nothing overflows; below −GONE it is 0 in every dtype.
    small: Array = np.exp(-np.abs(x))
    return np.where(x >= 0, x, np.clip(x, -GONE, 0) * small) / (1 + small)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "gelu": gelu,
    "relu": relu,
    "silu": silu,
    "swish": silu,
}
