"""TensorFlow's checkpoints, read without TensorFlow: OpenAI's own release of GPT-2 is one.

    PREFIX.index                  a sorted table (see `table`): "" to a header, the name of each
                                  tensor to its entry (see `entry`)
    PREFIX.data-00000-of-00001    the tensors' bytes, in C order; perhaps in several such files
    hparams.json                  the sizes, in OpenAI's release (see `hparams`)

Source: TensorFlow's tensorflow/core/util/tensor_bundle/tensor_bundle.h.
"""

import mmap
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._quoting import quoted
from npgpt.checkpoints._files import find, map_file, read_bytes
from npgpt.checkpoints._tensorflow.crc32c import crc32c, masked
from npgpt.checkpoints._tensorflow.entry import Entry, parse_entry, parse_header
from npgpt.checkpoints._tensorflow.sidecars import INDEX_SUFFIX, read_hparams
from npgpt.checkpoints._tensorflow.table import table_entries
from npgpt.checkpoints._tensors import Stored, Weights
from npgpt.errors import CheckpointError

FORM = "TensorFlow bundle"
# These bound what a small file can ask for. The index of GPT-2 XL has 580 tensors in 40 kB; with
# what Adam keeps of each, three times that.
LIMIT = 2**22
MAX_TENSORS = 3_000


def read_bundle(path: Path, *, check_sums: bool = True) -> Weights:
    """Every tensor of the checkpoint whose index `path` is, as read-only views of mapped files.

    Names ("model/h0/attn/c_attn/w"), shapes and their order are those of the index; the config is
    that of an hparams.json beside it, or None. With `check_sums` the tensors are read once, to
    compare their checksums; those of the index itself are compared in any case.

    Raises CheckpointError, naming the file and the place, for anything but an undamaged bundle of
    whole tensors of numbers, and ConfigError for an hparams.json that describes no GPT-2.
    """
    if not path.name.endswith(INDEX_SUFFIX):
        raise CheckpointError(
            f"{path}: the index of a TensorFlow checkpoint is named like its data, with "
            f"{INDEX_SUFFIX} at the end; give it the name it had"
        )
    entries, shards = _index(path)
    files = {n: _shard(path, n, shards) for n in sorted({e.shard for e in entries.values()})}
    # Of a file that holds only empty tensors there is nothing to map.
    filled = {e.shard for e in entries.values() if e.size}
    data = {number: map_file(file) for number, file in files.items() if number in filled}
    _check_places(entries, files, data)
    if check_sums:
        _check_sums(entries, files, data)
    tensors = {
        name: Stored(e.dtype, _view(data.get(e.shard), e), files[e.shard])
        for name, e in entries.items()
    }
    return Weights(FORM, (path, *files.values()), tensors, read_hparams(path.parent))


def _index(path: Path) -> tuple[dict[str, Entry], int]:
    """The tensors' entries by name, and how many files of data there should be."""
    entries: dict[str, Entry] = {}
    shards = 0
    for key, value in table_entries(read_bytes(path, LIMIT), str(path)):
        if not shards:
            if key:
                raise CheckpointError(f"{path}: no header; the file is no index of TensorFlow's")
            shards = parse_header(value, f"{path}: header")
            continue
        name = _name(key, path)
        if len(entries) == MAX_TENSORS:
            raise CheckpointError(f"{path}: over {MAX_TENSORS} tensors; this is no GPT-2")
        entries[name] = parse_entry(value, shards, f"{path}: tensor {quoted(name)}")
    if not entries:
        raise CheckpointError(f"{path}: holds no tensors; fetch it again")
    return entries, shards


def _name(key: bytes, path: Path) -> str:
    if key.startswith(b"\0"):  # so TensorFlow spells the name of a slice
        raise CheckpointError(
            f"{path}: holds slices of partitioned variables; save each as one variable"
        )
    try:
        return key.decode()
    except UnicodeDecodeError:
        text = quoted(key.decode(errors="backslashreplace"))
        raise CheckpointError(f"{path}: the name {text} is not UTF-8") from None


def _shard(index: Path, number: int, count: int) -> Path:
    name = f"{index.name.removesuffix(INDEX_SUFFIX)}.data-{number:05d}-of-{count:05d}"
    shard = find(index.parent, name)
    if shard is None:
        raise CheckpointError(f"{index}: missing {quoted(name)}; fetch all of its files")
    return shard


def _by_place(entries: Mapping[str, Entry]) -> Iterable[tuple[str, Entry]]:
    return sorted(entries.items(), key=lambda item: (item[1].shard, item[1].begin, item[1].size))


def _check_places(
    entries: Mapping[str, Entry], files: Mapping[int, Path], data: Mapping[int, mmap.mmap]
) -> None:
    """Every tensor lies in its file, and no two share a byte; between them there may be holes."""
    reached = dict.fromkeys(files, 0)
    for name, e in _by_place(entries):
        if not e.size:
            continue
        end = e.begin + e.size
        if end > len(data[e.shard]):
            raise CheckpointError(
                f"{files[e.shard]}: tensor {quoted(name)} takes bytes {e.begin} to {end} of "
                f"{len(data[e.shard])}; the file is cut short, or not this index's: fetch both"
            )
        if e.begin < reached[e.shard]:
            raise CheckpointError(
                f"{files[e.shard]}: tensor {quoted(name)} overlaps the one before it"
            )
        reached[e.shard] = end


def _check_sums(
    entries: Mapping[str, Entry], files: Mapping[int, Path], data: Mapping[int, mmap.mmap]
) -> None:
    for name, e in _by_place(entries):
        stretch = np.frombuffer(data[e.shard], np.uint8, e.size, e.begin) if e.size else b""
        crc = masked(crc32c(stretch))
        if crc != e.crc:
            raise CheckpointError(
                f"{files[e.shard]}: tensor {quoted(name)} has the checksum {crc:08x}, not "
                f"{e.crc:08x}; the file is damaged, or not this index's: fetch both again"
            )


def _view(data: mmap.mmap | None, e: Entry) -> npt.NDArray[Any]:
    if data is None or not e.size:
        return np.empty(e.shape, e.dtype.bits)  # frombuffer refuses an empty stretch
    return np.frombuffer(data, e.dtype.bits, prod(e.shape), e.begin).reshape(e.shape)
