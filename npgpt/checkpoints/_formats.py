"""Checkpoint formats: a table of the files of weights that npgpt reads, and how each is recognised.

A format is a row of FORMATS. To add one, write its reader in a file of its own and add the row:
finding files in a folder, recognising and reading them, what `npgpt inspect` says of them and the
documentation's table (`python -m tests.helpers.format_tables`) all go by it.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from npgpt.checkpoints._files import map_file
from npgpt.checkpoints._safetensors import read_safetensors
from npgpt.checkpoints._tensorflow.sidecars import INDEX_SUFFIX, index_of
from npgpt.checkpoints._tensors import Weights
from npgpt.errors import CheckpointError

Recognise = Callable[[mmap.mmap, Path], bool]


class Reader(Protocol):
    """What reads a file of one format; with `check_sums`, it compares the checksums there are."""

    def __call__(self, path: Path, *, check_sums: bool = True) -> Weights:
        """The tensors and whatever else the file says; CheckpointError for anything but its format.

        Nothing in the file is ever run, and none of its numbers are read before they are needed.
        """


@dataclass(frozen=True, eq=False, repr=False)
class Format:
    """One format of files of weights: how it is recognised, read, looked for and documented."""

    # What `Weights.form` and `npgpt inspect` call it.
    name: str
    # Whether a file, mapped and not yet read, at a path is of this format.
    begins_so: Recognise
    # Imports the reader and returns it: to import all takes ten times as long as one.
    reader: Callable[[], Reader]
    # A container begins alike for all formats in it, and a file that is refused is said to be one;
    # they are told apart by `is_one`, which may read more, and raise CheckpointError.
    container: str = ""
    is_one: Recognise = lambda data, path: True
    # The pattern of the name of such a file in a folder that has none of the usual names, perhaps
    # with whose it is before; where others name their files so too, one counts if it begins so.
    looked_for: str = ""
    is_shared: bool = False
    # How to find one in such a folder where that takes more than its own name.
    find: Callable[[Path], Path | None] | None = None
    # The pickle in such a file, for the list of what it names.
    pickle: Callable[[Path], bytes] | None = None
    # For the documentation.
    written_by: str = ""
    holds: str = "tensors"
    checksums: str = "none"

    def __repr__(self) -> str:
        return f"Format({self.name!r}: {self.holds})"

    @property
    def pattern(self) -> str:
        """What `looked_for` says without whose it is."""
        return self.looked_for.rpartition(" ")[2]


@dataclass(frozen=True)
class Mistaken:
    """What people take for weights: the bytes at one place that show it, and what to do instead."""

    at: int
    mark: bytes
    advice: str
    name: str | None = None
    pickle: Callable[[Path], bytes] | None = None


def _begins(*marks: bytes) -> Recognise:
    return lambda data, path: any(data[: len(mark)] == mark for mark in marks)


_TENSORFLOW_END = bytes.fromhex("57fb808b247547db")
_ZIP = _begins(b"PK\3\4", b"PK\5\6")


def _is_tensorflow(data: mmap.mmap, path: Path) -> bool:
    end = data[-len(_TENSORFLOW_END) :]
    return path.name.endswith(INDEX_SUFFIX) or end == _TENSORFLOW_END


def _is_torch_legacy(data: mmap.mmap, path: Path) -> bool:
    if data[:1] != b"\x80":
        return False
    from npgpt.checkpoints._torch.legacy import is_torch_legacy

    return is_torch_legacy(data)


def _is_safetensors(data: mmap.mmap, path: Path) -> bool:
    # The length of every 32nd header begins as a pickle does, but is far below 2^32.
    return data[8:9] == b"{" and (data[:1] != b"\x80" or data[4:8] == bytes(4))


def _is_npz(data: mmap.mmap, path: Path) -> bool:
    from npgpt.checkpoints._npz import holds_arrays

    return holds_arrays(data, path)


def _safetensors() -> Reader:
    def read(path: Path, *, check_sums: bool = True) -> Weights:
        return Weights("safetensors", (path,), read_safetensors(path))

    return read


def _gguf() -> Reader:
    from npgpt.checkpoints._gguf.reader import read_gguf

    return read_gguf


def _npz() -> Reader:
    from npgpt.checkpoints._npz import read_npz

    return read_npz


def _torch_zip() -> Reader:
    from npgpt.checkpoints._torch.zip import read_torch_zip

    return read_torch_zip


def _torch_legacy() -> Reader:
    from npgpt.checkpoints._torch.legacy import read_torch_legacy

    return read_torch_legacy


def _llmc() -> Reader:
    from npgpt.checkpoints._llmc import read_llmc

    return read_llmc


def _tensorflow() -> Reader:
    from npgpt.checkpoints._tensorflow.bundle import read_bundle

    return read_bundle


def _pickle_in_zip(path: Path) -> bytes:
    from npgpt.checkpoints._torch.zip import pickle_in_zip

    return pickle_in_zip(path)


def _pickle_in_legacy(path: Path) -> bytes:
    from npgpt.checkpoints._torch.legacy import pickle_in_legacy

    return pickle_in_legacy(path)


def _bare_pickle(path: Path) -> bytes:
    from npgpt.checkpoints._torch.inert_pickle import PICKLE_LIMIT

    return map_file(path)[:PICKLE_LIMIT]


# In the order in which they are recognised.
FORMATS = (
    Format(
        name="GGUF",
        begins_so=_begins(b"GGUF"),
        reader=_gguf,
        looked_for="*.gguf",
        written_by="llama.cpp: F32, F16, BF16, F64, Q8_0",
        holds="tensors, config, tokenizer",
    ),
    Format(
        name="npz",
        begins_so=_ZIP,
        container="zip",
        is_one=_is_npz,
        reader=_npz,
        looked_for="*.npz",
        written_by="`numpy.savez`, `numpy.savez_compressed`, `npgpt convert`",
        holds="tensors; config, where npgpt wrote it",
        checksums="CRC-32",
    ),
    Format(
        name="torch zip",
        begins_so=_ZIP,
        container="zip",
        reader=_torch_zip,
        looked_for="ckpt.pt",
        pickle=_pickle_in_zip,
        written_by="`torch.save` since torch 1.6: transformers, nanoGPT, minGPT",
        holds="tensors; config, where nanoGPT wrote it",
        checksums="CRC-32",
    ),
    Format(
        name="llm.c",
        begins_so=_begins((20240326).to_bytes(4, "little")),
        reader=_llmc,
        looked_for="llm.c's *.bin",
        is_shared=True,
        written_by="llm.c: float32, bfloat16",
        holds="tensors, config",
    ),
    Format(
        name="TensorFlow bundle",
        begins_so=_is_tensorflow,
        reader=_tensorflow,
        looked_for=f"TensorFlow's *{INDEX_SUFFIX}",
        find=index_of,
        written_by="TensorFlow: OpenAI's own release of GPT-2",
        holds="tensors; config, in hparams.json beside them",
        checksums="CRC-32C",
    ),
    Format(
        name="torch legacy",
        begins_so=_is_torch_legacy,
        reader=_torch_legacy,
        pickle=_pickle_in_legacy,
        written_by="`torch.save` before torch 1.6",
        holds="tensors; config, where nanoGPT wrote it",
    ),
    Format(
        name="safetensors",
        begins_so=_is_safetensors,
        reader=_safetensors,
        written_by="transformers and others; `npgpt.checkpoints.save`, `npgpt convert`",
    ),
)
MISTAKEN = (
    Mistaken(
        257, b"ustar", "a tar archive; if torch wrote it, load it with torch and save it again"
    ),
    Mistaken(
        0, b"version https://git-lfs", "a pointer of Git LFS, not the file; run `git lfs pull`"
    ),
    Mistaken(
        0,
        b"\x80",
        "a bare pickle; save model.state_dict() with torch.save",
        name="pickle",
        pickle=_bare_pickle,
    ),
    Mistaken(
        0,
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file; npgpt reads safetensors and torch.save's archives",
    ),
)


def recognise(path: Path) -> list[Format]:
    """The formats that the file begins as: none, one, or the several of one container.

    Raises CheckpointError for a file that is empty or cannot be read.
    """
    data = map_file(path)
    formats = [format_ for format_ in FORMATS if format_.begins_so(data, path)]
    # Where an ending matches too, the beginning counts.
    return [f for f in formats if f is formats[0] or f.container == formats[0].container != ""]


def format_name(path: Path) -> str | None:
    """What a file is said to be, from its first bytes alone, or None where they say nothing.

    As `recognise`; of a container its name ("zip"), and of a bare pickle "pickle".
    """
    for format_ in recognise(path):
        return format_.container or format_.name
    data = map_file(path)
    return next((m.name for m in MISTAKEN if _shows(data, m)), None)


def pickle_in(path: Path) -> bytes | None:
    """The pickle in a file, perhaps only its beginning; None where no pickle is found."""
    data = map_file(path)
    rows: list[Format | Mistaken] = [*recognise(path), *(m for m in MISTAKEN if _shows(data, m))]
    getters = (row.pickle for row in rows if row.pickle is not None)
    return next((get(path) for get in getters), None)


def read_file(path: Path, *, check_sums: bool) -> Weights:
    """One file's contents, by the format that its first bytes show, whatever its name."""
    data = map_file(path)
    for format_ in recognise(path):
        if format_.is_one(data, path):
            return format_.reader()(path, check_sums=check_sums)
    for mistaken in MISTAKEN:
        if _shows(data, mistaken):
            raise CheckpointError(f"{path}: {mistaken.advice}")
    raise CheckpointError(
        f"{path}: neither a safetensors file nor an archive of torch.save, nor any other file of "
        f"weights that npgpt knows; it starts with {data[:8]!r}: fetch it again"
    )


def _shows(data: mmap.mmap, mistaken: Mistaken) -> bool:
    return data[mistaken.at : mistaken.at + len(mistaken.mark)] == mistaken.mark
