"""The affine map."""

import numpy as np

from npgpt.arrays import Array, quiet
from npgpt.ops import few_rows
from npgpt.ops.half import product_widened
from npgpt.ops.tiles import TILE

SEVERAL = 64  # with more rows than this, the plain product is faster


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """`x @ W + b`, or `x @ W` where the bias is None.

    x (..., in), weight W (in, out), bias b (out) -> (..., out). W is laid out in × out, as in
    GPT-2's own code and in Hugging Face's Conv1D, the transpose of torch.nn.Linear; it may be kept
    in 16 bits, as `ops.half` has it.

    >>> import numpy as np
    >>> linear(np.array([1.0, 2.0]), np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), np.ones(3))
    array([2., 3., 4.])
    """
    # One product of two matrices: NumPy would otherwise run a small product for each leading index.
    with quiet():
        y = _product(x.reshape(-1, x.shape[-1]), weight)
        if bias is not None:
            y += bias
    return y.reshape(*x.shape[:-1], weight.shape[1])


def _product(x: Array, weight: Array) -> Array:
    if weight.dtype != x.dtype:
        return product_widened(x, weight)
    if 1 < len(x) <= SEVERAL and weight.flags.f_contiguous:
        if len(x) <= few_rows.FEW and weight.size > TILE:
            return few_rows.by_columns(x, weight.T)
        # BLAS is faster with the long matrix in front, though the result has to be turned over.
        return np.ascontiguousarray((weight.T @ x.T).T)
    product: Array = x @ weight
    return product
