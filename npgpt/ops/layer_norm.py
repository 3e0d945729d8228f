"""Layer normalization."""

import numpy as np

from npgpt.arrays import Array, quiet
from npgpt.ops.tiles import by_rows


@by_rows
def layer_norm(x: Array, weight: Array, bias: Array, *, eps: float) -> Array:
    """`(x − mean) / sqrt(variance + eps) · weight + bias`, over the last axis.

    x (..., embd), weight and bias (embd) -> (..., embd). The variance is the biased one, the mean
    of the squared deviations. A constant row gives the bias; with eps = 0 it gives NaN (0/0).

    Source: Ba, Kiros & Hinton 2016, "Layer Normalization", with eps as in GPT-2's model.py.

    >>> import numpy as np
    >>> layer_norm(np.array([1.0, 3.0]), np.ones(2), np.zeros(2), eps=0.0)
    array([-1.,  1.])
    """
    with quiet():
        embd = x.shape[-1]
        centred: Array = x - np.add.reduce(x, axis=-1, keepdims=True) / embd
        variance = np.add.reduce(np.square(centred), axis=-1, keepdims=True) / embd
        centred /= np.sqrt(variance + eps)
        centred *= weight
        centred += bias
    return centred
