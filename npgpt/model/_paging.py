"""Paging: weights mapped from files, and models larger than the memory they may take.

Layers are given back to the system once they are used, and read from the file again.
"""

import dataclasses
import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array
from npgpt._config import Config
from npgpt.errors import CheckpointError, SettingError
from npgpt.model._parameters import Block, Parameters, to_arrays, weights

_ADVICE: int | None = getattr(mmap, "MADV_DONTNEED", None)
_STATUS = Path("/proc/self/statm")  # in pages: the whole, the resident set, and more
# What a pass takes at most beside weights, cache and activations: the threads' tiles, logits.
_SLACK = 2**24
# How many numbers a layer's activations are, for each that its MLP is wide: 3.1 were measured.
_ACTIVATIONS = 4


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
    each_mapping = (_mapping(array) for array in arrays)
    return list({id(mapping): mapping for mapping in each_mapping if mapping is not None}.values())


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


def within_memory(parameters: Parameters, config: Config, memory: int) -> Parameters:
    """The same parameters, of which the process keeps only what fits `memory` bytes in all.

    The matrices must be mapped from files. The first layers stay in memory, as many as fit; the
    others are read from the file at each pass, since of what is used in turns and does not fit it
    is best to keep a part. Beside a layer there is room for the activations of one row as long as
    the context, and for a copy of all caches, which are copied as they grow.

    Raises SettingError where the matrices are not mapped, where the system cannot take memory
    back, and for less memory than the largest part and the activations take. A pass whose rows
    leave no room for a layer raises it too.
    """
    if type(memory) is not int or memory < 1:
        raise SettingError(f"memory is {memory!r}; give a number of bytes")
    arrays = to_arrays(parameters)
    unmapped = [name for name, a in arrays.items() if a.ndim > 1 and not is_mapped(a)]
    if unmapped:
        raise SettingError(
            f"memory is {memory}, but {unmapped[0]} is not a stretch of a file; save the model "
            "with npgpt.checkpoints.save, as float16 or in the dtype that is computed in"
        )
    for array in arrays.values():
        release(array)
    other = resident()
    if other is None:
        raise SettingError(
            f"memory is {memory}, but this system does not tell how much is taken, or does not "
            "take it back; leave the setting out"
        )
    activations = _ACTIVATIONS * config.n_positions * config.inner * parameters.dtype.itemsize
    head, blocks = parameters.lm_head.weight, tuple(parameters.h)
    tables = [a for name, a in arrays.items() if not name.startswith("h.") and a is not head]
    parts = (*(tuple(weights(block)) for block in blocks), (head,), tuple(tables))
    layers = Layers(
        blocks,
        parts,
        sizes=tuple(sum(a.nbytes for a in part if is_mapped(a)) for part in parts),
        memory=memory,
        spare=_SLACK + activations,
        other=other,
    )
    least = other + layers.spare + max(layers.sizes[:-1])
    if memory < least:
        raise SettingError(
            f"memory is {memory} bytes; this model takes at least {least}: give "
            f"{-(-least // 10**6)}MB or more"
        )
    return dataclasses.replace(parameters, h=layers)


@dataclass(frozen=True, eq=False, repr=False)
class Layers(Sequence[Block]):
    """Layers that make room for each other when they are gone through."""

    blocks: tuple[Block, ...]
    parts: tuple[tuple[Array, ...], ...]  # the weights of each layer, of the head, of the tables
    sizes: tuple[int, ...]  # bytes of each part that are mapped
    memory: int
    spare: int
    other: int  # bytes that the process took when no part was in memory
    held: set[int] = field(default_factory=set)

    def __repr__(self) -> str:
        return f"Layers({len(self.blocks)} blocks, memory={self.memory})"

    def __len__(self) -> int:
        return len(self.blocks)

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Block, ...]: ...
    def __getitem__(self, index: int | slice) -> Block | tuple[Block, ...]:
        return self.blocks[index]

    def __iter__(self) -> Iterator[Block]:
        for layer, block in enumerate(self.blocks):
            self._make_room(layer)
            yield block
        self._make_room(len(self.blocks))  # for the head, which comes next

    def _make_room(self, part: int) -> None:
        """Give back other parts, the last first, until this one fits too."""
        needed = 0 if part in self.held else self.sizes[part]
        for last in reversed(range(len(self.parts))):
            if self._taken() + needed <= self.memory:
                break
            # Rows of the tables may be in memory at any time.
            if last != part and (last in self.held or last >= len(self.blocks)):
                self.held.discard(last)
                for array in self.parts[last]:
                    release(array)
        self.held.add(part)
        if (resident() or 0) + needed > self.memory:
            raise SettingError(
                f"memory is {self.memory}, too little for so many tokens; give more, or fewer "
                "and shorter rows"
            )

    def _taken(self) -> int:
        """Bytes that are taken, or may be before the next part."""
        taken = resident() or 0
        grown = taken - self.other - sum(self.sizes[part] for part in self.held)
        return taken + max(self.spare, grown)


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
