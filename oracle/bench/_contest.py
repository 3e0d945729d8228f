"""What a contestant is: tasks by name, each of which measures itself."""

import os
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from oracle.bench._checkpoint import checkpoint
from oracle.bench._sizes import SIZES, Size, xl_of


class Absent(Exception):  # noqa: N818
    """A contestant, or one of its tasks, is not to be had here; the message says why."""


class Measured(NamedTuple):
    """value: seconds or bytes. answer: what was computed; contestants of a task should agree."""

    value: float
    answer: Any = None


Task = Callable[[], Measured]


@dataclass(frozen=True)
class Contestant:
    """about: name and version."""

    about: str
    tasks: Mapping[str, Task]


@dataclass(frozen=True)
class Setup:
    """What a contestant is told: where files are kept, which size, on what device."""

    cache: str
    size: str = "small"
    device: str = "cpu"

    @property
    def shape(self) -> Size:
        """The size itself."""
        return SIZES[self.size]

    def weights(self, dtype: str = "float32") -> Path:
        """The folder with the checkpoint."""
        return checkpoint(Path(self.cache), self.shape, dtype)

    def xl_weights(self) -> Path:
        """The folder with the checkpoint of GPT-2 XL, in float16."""
        return checkpoint(Path(self.cache), xl_of(self.shape), "float16")

    def prompt(self, length: int, row: int = 0) -> list[int]:
        """Token ids, the same for every contestant, no two rows alike."""
        return [(7919 * place + 104_729 * row + 1) % self.shape.vocab for place in range(length)]


def checksum(ids: Sequence[int]) -> int:
    """A number that stands for many ids."""
    return zlib.crc32(array("i", ids).tobytes())


def cpu_count() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
