"""NaN and infinity: whether arrays hold any, found out at about the speed of memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._kernels.threads import parallel_for
from npgpt._kernels.tiles import slices
from npgpt._kernels.upcast import ITEMSIZE
from npgpt._kernels.upcast import is_finite as is_finite_in_16_bits
from npgpt.model._paging import release as release_pages

_CHUNK = 2**20  # numbers looked at together, so that no temporary array is large


def is_finite(array: npt.NDArray[Any]) -> bool:
    """Whether no number in the array is NaN or infinite; uint16 stands for bfloat16's bits.

    >>> is_finite(np.array([3e38, 3e38], np.float32)), is_finite(np.array([1.0, np.nan]))
    (True, False)
    """
    return not non_finite({"": array})


def non_finite(arrays: Mapping[str, npt.NDArray[Any]], *, release: bool = False) -> list[str]:
    """The names of the arrays that hold NaN or infinity; found by several threads.

    With `release`, what is mapped from files takes no memory afterwards, and little meanwhile.
    """
    bad = set()

    def look(piece: tuple[str, npt.NDArray[Any]]) -> None:
        name, chunk = piece
        if not _all_finite(chunk):
            bad.add(name)
        if release:
            release_pages(chunk)

    flat = {name: array.ravel(order="K") for name, array in arrays.items()}
    pieces = [(n, a[part]) for n, a in flat.items() for part in slices(a.size, _CHUNK)]
    parallel_for(look, pieces)
    return [name for name in arrays if name in bad]


def _all_finite(chunk: npt.NDArray[Any]) -> bool:
    if chunk.dtype.itemsize == ITEMSIZE:
        return is_finite_in_16_bits(chunk)
    # A sum costs a third of looking at every number, and is finite only if all of them are; where
    # it is not, for they may also be merely large, every number is looked at.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(chunk.sum()) or np.isfinite(chunk).all())
