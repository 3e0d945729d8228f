"""GELU, the Gaussian error linear unit: in GPT-2's tanh approximation, and exact."""

import math

import numpy as np

from npgpt._arrays import Array, quiet

GELU_CUBIC = 0.044715
GELU_SCALE = math.sqrt(2 / math.pi)
SATURATED = 16.0  # tanh is −1 exactly for x below −SATURATED, in float64 too
GONE = 40.0  # Φ(−40) is 0 in float64

_erfc = np.frompyfunc(math.erfc, 1, 1)  # NumPy has no erf of its own


def gelu_new(x: Array) -> Array:
    """`x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`: what GPT-2 was trained with.

    x (..., n) -> (..., n), dtype kept. Differs from `gelu` by up to 4.8e-4.

    Source: Hendrycks & Gimpel 2016, "Gaussian Error Linear Units"; GPT-2's model.py.

    >>> import numpy as np
    >>> gelu_new(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1588,  0.    ,  0.8412])
    """
    with quiet():  # where x³ overflows, tanh is 1 or −1 all the same
        tanh = np.tanh(GELU_SCALE * (x + GELU_CUBIC * x**3))
        # x itself but where the result is 0 anyway: −∞ · 0 would be NaN.
        y: Array = np.maximum(x, -SATURATED) / 2 * (1 + tanh)
    return y


def gelu(x: Array) -> Array:
    """`x · Φ(x)`, Φ the cumulative distribution function of the standard normal.

    Computed as `x/2 · erfc(−x/√2)`, which keeps its digits where Φ(x) is tiny, in float64, and
    rounded to x's dtype. x (..., n) -> (..., n).

    Source: Hendrycks & Gimpel 2016, "Gaussian Error Linear Units".

    >>> import numpy as np
    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    wide = np.maximum(x, -GONE, dtype=np.float64)
    tail = np.asarray(_erfc(wide * -math.sqrt(0.5)), dtype=np.float64)
    return (wide / 2 * tail).astype(x.dtype)
