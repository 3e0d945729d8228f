"""The affine map, by whichever form of the product is fastest for so many rows."""

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt._kernels.mixed_gemm import mixed_gemm
from npgpt._kernels.skinny_gemm import skinny_gemm
from npgpt._kernels.thresholds import (
    LONG_MATRIX_FIRST_ROWS,
    SKINNY_GEMM_ROWS,
    UNTILED_GEMM_WEIGHTS,
)


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """`npgpt.ops.linear`: `x @ W + b`, or `x @ W` where the bias is None.

    x (..., in), weight W (in, out), bias b (out) -> (..., out). Fastest for a W in column-major
    order, as `npgpt.load` lays weights out.

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
        return mixed_gemm(x, weight)
    if 1 < len(x) <= LONG_MATRIX_FIRST_ROWS and weight.flags.f_contiguous:
        if len(x) <= SKINNY_GEMM_ROWS and weight.size > UNTILED_GEMM_WEIGHTS:
            return skinny_gemm(x, weight.T)
        # BLAS is faster with the long matrix in front, though the result has to be transposed.
        return np.ascontiguousarray((weight.T @ x.T).T)
    product: Array = x @ weight
    return product
