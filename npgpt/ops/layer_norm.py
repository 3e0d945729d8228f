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
        centred = _centred(x)
        return _finished(centred, _scale(centred, eps), weight, bias)


def layer_norm_scale(x: Array, *, eps: float) -> Array:
    """What `layer_norm` divides by: `sqrt(variance + eps)`, (..., embd) -> (..., 1).

    >>> layer_norm_scale(np.array([1.0, 5.0]), eps=0.0)
    array([2.])
    """
    with quiet():
        return _scale(_centred(x), eps)


def layer_norm_given_scale(x: Array, scale: Array, weight: Array, bias: Array) -> Array:
    """`(x − mean) / scale · weight + bias`: the same bits as `layer_norm`, given its own scale.

    x (..., embd), scale (..., 1), weight and bias (embd) -> (..., embd).

    >>> layer_norm_given_scale(np.array([1.0, 3.0]), np.array([0.5]), np.ones(2), np.zeros(2))
    array([-2.,  2.])
    """
    with quiet():
        return _finished(_centred(x), scale, weight, bias)


def _centred(x: Array) -> Array:
    centred: Array = x - np.add.reduce(x, axis=-1, keepdims=True) / x.shape[-1]
    return centred


def _scale(centred: Array, eps: float) -> Array:
    variance = np.add.reduce(np.square(centred), axis=-1, keepdims=True) / centred.shape[-1]
    scale: Array = np.sqrt(variance + eps)
    return scale


def _finished(centred: Array, scale: Array, weight: Array, bias: Array) -> Array:
    centred /= scale
    centred *= weight
    centred += bias
    return centred
