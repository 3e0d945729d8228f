"""Arrays that are views of a mapped file: the memory they take, and giving it back."""

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt.errors import CheckpointError

_ADVICE: int | None = getattr(mmap, "MADV_DONTNEED", None)
_STATUS = Path("/proc/self/statm")  # in pages: the whole, the resident set, and more


class MappedFile(mmap.mmap):
    """A mapped file that knows its `path`."""

    path: Path


def check_whole(mappings: Iterable[mmap.mmap]) -> None:
    """Raise CheckpointError where a mapped file has been cut short since.

    To read what is missing would end the process, without a word (SIGBUS). This is asked before a
    pass through the model, so only a file that is cut within a pass can still do so.
    """
    for mapping in mappings:
        left = mapping.size()
        if left < len(mapping):
            raise CheckpointError(
                f"{getattr(mapping, 'path', 'a file')}: somebody cut it to {left} of "
                f"{len(mapping)} bytes while the model used it; get it again and load it again"
            )


def mappings(arrays: Iterable[npt.NDArray[Any]]) -> list[mmap.mmap]:
    """The mapped files that the arrays are views of, each once."""
    found = (_mapping(array) for array in arrays)
    return list({id(mapping): mapping for mapping in found if mapping is not None}.values())


def is_mapped(array: npt.NDArray[Any]) -> bool:
    """Whether the array is a view, without gaps, of a mapped file."""
    return array.flags.forc and _mapping(array) is not None


def release(array: npt.NDArray[Any]) -> None:
    """Give back the memory that a mapped array lies in; the file is read again if it is looked at.

    Nothing happens to other arrays, and where the system offers no such thing.
    """
    mapping = _mapping(array)
    if mapping is None or _ADVICE is None or not array.nbytes or not array.flags.forc:
        return
    begin = _address(array) - _address(np.frombuffer(mapping, np.uint8))
    end = begin + array.nbytes
    begin -= begin % mmap.PAGESIZE
    mapping.madvise(_ADVICE, begin, end - begin)


def resident() -> int | None:
    """Bytes of memory that the process takes now, or None where that cannot be told."""
    if _ADVICE is None:
        return None
    try:
        return int(_STATUS.read_text().split()[1]) * mmap.PAGESIZE
    except (OSError, IndexError, ValueError):
        return None


def _mapping(array: npt.NDArray[Any]) -> mmap.mmap | None:
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    return owner if isinstance(owner, mmap.mmap) else None


def _address(array: npt.NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
