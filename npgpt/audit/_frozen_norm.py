"""Frozen layer norm: the final norm as the linear map that it is once its scale is held fast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, Tokens
from npgpt._kernels.upcast import upcast
from npgpt.errors import PromptError
from npgpt.model._parameters import Parameters

Float64 = npt.NDArray[np.float64]


def in_float64(weight: Array) -> Float64:
    """A weight in float64, exactly, also where it is kept in 16 bits."""
    is_narrow = weight.dtype.itemsize == np.dtype(np.float16).itemsize
    wide = upcast(weight, np.float64) if is_narrow else weight
    return wide.astype(np.float64, copy=False)


def unembedding(parameters: Parameters, tokens: Tokens) -> Float64:
    """The head's row of each token: tokens (...) -> (..., embd). A logit is `ln_f · row`.

    The difference of two tokens' rows is the direction of the difference of their logits.

    Raises PromptError for an unknown id.
    """
    ids, known = np.asarray(tokens), len(parameters.lm_head.weight)
    if ids.dtype.kind not in "iu" or (ids.size and not 0 <= ids.min() <= ids.max() < known):
        raise PromptError(f"tokens are {ids.tolist()}; give ids of 0 to {known - 1}")
    return in_float64(parameters.lm_head.weight[ids])


def before_norm(direction: Array, scale: Array, parameters: Parameters) -> Float64:
    """The direction g of the residual stream with `x · g + b · d = ln_f(x) · d`.

    `g = P (w · d / s)`: d direction (..., embd), s scale (..., 1), w and b the final layer norm's
    weight and bias, P what takes the mean away. -> (..., embd)

    With s the scale of x itself this is exact, and it is linear in x.

    >>> from npgpt._config import Config
    >>> from npgpt.model._parameters import from_arrays, shapes
    >>> tiny = Config(vocab_size=5, n_positions=3, n_embd=2, n_head=1, n_layer=0)
    >>> ones = from_arrays({name: np.ones(shape) for name, shape in shapes(tiny).items()}, tiny)
    >>> before_norm(np.array([4.0, 0.0]), np.array([2.0]), ones)
    array([ 1., -1.])
    """
    weighted = direction.astype(np.float64) * in_float64(parameters.ln_f.weight)
    scaled = weighted / scale.astype(np.float64)
    centred: Float64 = scaled - scaled.mean(axis=-1, keepdims=True)
    return centred
