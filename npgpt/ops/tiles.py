"""Ops that look at one row at a time, computed over tiles of rows in several threads."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import numpy as np

from npgpt import threads
from npgpt.arrays import Array

P = ParamSpec("P")

TILE = 1 << 17  # numbers of a tile: it fits a core's cache, and is worth a call of NumPy's


def by_rows(op: Callable[Concatenate[Array, P], Array]) -> Callable[Concatenate[Array, P], Array]:
    """The op over x (..., n), a large x tile by tile: the same bits for x in C order, sooner.

    For ops that treat each row by itself, whatever stands in the others, and give an array of x's
    shape and dtype. A tile passes through all the op's temporaries while it is in the cache, and
    threads share the tiles.

    >>> import numpy as np
    >>> doubled = by_rows(lambda x: 2 * x)
    >>> doubled(np.ones((2, TILE)))[:, -1]
    array([2., 2.])
    """

    @functools.wraps(op)
    def tiled(x: Array, /, *args: P.args, **kwargs: P.kwargs) -> Array:
        if x.size <= TILE or x.ndim < 2:
            return op(x, *args, **kwargs)
        rows = x.reshape(-1, x.shape[-1])
        out = np.empty_like(rows)

        def compute(part: slice) -> None:
            out[part] = op(rows[part], *args, **kwargs)

        threads.run(compute, parts(len(rows), max(TILE // x.shape[-1], 1)))
        return out.reshape(x.shape)

    return tiled


def parts(length: int, size: int) -> list[slice]:
    """0 .. length - 1 in slices of at most `size`.

    >>> parts(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]
