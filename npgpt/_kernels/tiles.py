"""Tiling by rows: an op that treats each row by itself, over tiles, in several threads."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import numpy as np

from npgpt._arrays import Array
from npgpt._kernels.threads import parallel_for
from npgpt._kernels.thresholds import ROW_TILE

P = ParamSpec("P")


def by_rows(op: Callable[Concatenate[Array, P], Array]) -> Callable[Concatenate[Array, P], Array]:
    """The op over x (..., n), a large x tile by tile: the same bits for x in C order, sooner.

    For ops that treat each row by itself, whatever stands in the others, and give an array of x's
    shape and dtype. A tile passes through all the op's temporaries while it is in the cache, and
    threads share the tiles.

    >>> import numpy as np
    >>> doubled = by_rows(lambda x: 2 * x)
    >>> doubled(np.ones((2, ROW_TILE)))[:, -1]
    array([2., 2.])
    """

    @functools.wraps(op)
    def tiled(x: Array, /, *args: P.args, **kwargs: P.kwargs) -> Array:
        if x.size <= ROW_TILE or x.ndim < 2:
            return op(x, *args, **kwargs)
        rows = x.reshape(-1, x.shape[-1])
        out = np.empty_like(rows)

        def compute(tile: slice) -> None:
            out[tile] = op(rows[tile], *args, **kwargs)

        parallel_for(compute, slices(len(rows), max(ROW_TILE // x.shape[-1], 1)))
        return out.reshape(x.shape)

    return tiled


def slices(length: int, size: int) -> list[slice]:
    """0 .. length - 1 in slices of at most `size`.

    >>> slices(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]
