"""GELU's tanh approximation in nine passes over a tile, all but three of them in place."""

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt._kernels.tiles import by_rows
from npgpt.ops._gelu import GELU_CUBIC, GELU_SCALE, SATURATED


@by_rows
def gelu_new(x: Array) -> Array:
    """`npgpt.ops.gelu_new`, as `x/2 · (1 + tanh(x · (√(2/π) · 0.044715 · x² + √(2/π))))`.

    x (..., n) -> (..., n), dtype kept.

    >>> import numpy as np
    >>> gelu_new(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1588,  0.    ,  0.8412])
    """
    with quiet():  # where x² overflows, tanh is 1 or −1 all the same
        t = np.asarray(x * x)
        t *= GELU_SCALE * GELU_CUBIC
        t += GELU_SCALE
        t *= x
        np.tanh(t, out=t)
        t += 1
        half = np.asarray(np.maximum(x, -SATURATED))  # by then it is 0, and 0 · −∞ would be NaN
        half *= 0.5
        t *= half
    return t
