"""The affine map."""

from npgpt.arrays import Array, quiet


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """`x @ W + b`, or `x @ W` where the bias is None.

    x (..., in), weight W (in, out), bias b (out) -> (..., out). W is laid out in × out, as in
    GPT-2's own code and in Hugging Face's Conv1D, the transpose of torch.nn.Linear.

    >>> import numpy as np
    >>> linear(np.array([1.0, 2.0]), np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), np.ones(3))
    array([2., 3., 4.])
    """
    # One product of two matrices: NumPy would otherwise run a small product for each leading index.
    with quiet():
        y = x.reshape(-1, x.shape[-1]) @ weight
        if bias is not None:
            y += bias
    return y.reshape(*x.shape[:-1], weight.shape[1])
