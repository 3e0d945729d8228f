"""Layer normalization, and the scale that it divides by."""

import numpy as np

from npgpt._arrays import Array, quiet


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
        centred = x - _mean(x)
        scale = np.sqrt(_mean(np.square(centred)) + eps)
        y: Array = centred / scale * weight + bias
    return y


def layer_norm_scale(x: Array, *, eps: float) -> Array:
    """What `layer_norm` divides by: `sqrt(variance + eps)`, (..., embd) -> (..., 1).

    >>> layer_norm_scale(np.array([1.0, 5.0]), eps=0.0)
    array([2.])
    """
    with quiet():
        scale: Array = np.sqrt(_mean(np.square(x - _mean(x))) + eps)
    return scale


def layer_norm_given_scale(x: Array, scale: Array, weight: Array, bias: Array) -> Array:
    """`(x − mean) / scale · weight + bias`: the same bits as `layer_norm`, given its own scale.

    x (..., embd), scale (..., 1), weight and bias (embd) -> (..., embd).

    >>> layer_norm_given_scale(np.array([1.0, 3.0]), np.array([0.5]), np.ones(2), np.zeros(2))
    array([-2.,  2.])
    """
    with quiet():
        y: Array = (x - _mean(x)) / scale * weight + bias
    return y


def _mean(x: Array) -> Array:
    # np.mean, without its overhead, which a row of a decoding step would notice.
    mean: Array = np.add.reduce(x, axis=-1, keepdims=True) / x.shape[-1]
    return mean
