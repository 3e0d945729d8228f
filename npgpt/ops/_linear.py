"""The affine map, or linear layer: `x W + b`."""

from npgpt._arrays import Array, quiet
from npgpt.ops._upcast import upcast


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """`x @ W + b`, or `x @ W` where the bias is None.

    x (..., in), weight W (in, out), bias b (out) -> (..., out), in x's dtype. W is laid out
    in × out, as in GPT-2's own code and in Hugging Face's Conv1D, the transpose of torch.nn.Linear;
    it may be kept in 16 bits, as `ops.upcast` has it.

    >>> import numpy as np
    >>> linear(np.array([1.0, 2.0]), np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), np.ones(3))
    array([2., 3., 4.])
    """
    with quiet():
        y: Array = x @ upcast(weight, x.dtype)
        return y if bias is None else y + bias
