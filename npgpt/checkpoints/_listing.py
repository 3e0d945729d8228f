"""Listing of a checkpoint's tensors: what its files hold, found out without reading the numbers."""

import os
from dataclasses import dataclass
from pathlib import Path

from npgpt.checkpoints._dialects import common_prefix, dialect_name
from npgpt.checkpoints._tensors import Weights
from npgpt.checkpoints._weights import read_weights


@dataclass(frozen=True)
class TensorEntry:
    """A tensor in a file, by the name the file gives it; `nbytes` of `file` are its own."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    file: Path


@dataclass(frozen=True, repr=False)
class Listing:
    """What a checkpoint's files hold: `format`, the names' `prefix` and `dialect`, every tensor."""

    format: str
    prefix: str
    dialect: str
    files: tuple[Path, ...]
    tensors: tuple[TensorEntry, ...]

    def __repr__(self) -> str:
        return (
            f"Listing({self.format!r} of {self.dialect!r}, {len(self.tensors)} tensors of "
            f"{self.nbytes} bytes, {len(self.files)} files)"
        )

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors take in the files."""
        return sum(tensor.nbytes for tensor in self.tensors)


def list_tensors(path: str | os.PathLike[str]) -> Listing:
    """What the files hold, without reading the tensors' data, and without a config.json.

    Raises CheckpointError for files that are missing, damaged or hostile, as far as that shows
    without reading the data.
    """
    return listing_of(read_weights(path, check_sums=False))


def listing_of(stored: Weights) -> Listing:
    """The listing of weights that were found."""
    entries = (
        TensorEntry(name, tensor.dtype.name, tensor.data.shape, tensor.data.nbytes, tensor.file)
        for name, tensor in stored.tensors.items()
    )
    return Listing(
        stored.form,
        common_prefix(stored.tensors),
        dialect_name(stored.tensors),
        stored.files,
        tuple(entries),
    )
