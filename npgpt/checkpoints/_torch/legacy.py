"""torch.save's files from before torch 1.6, which it still writes if asked to; nothing is run.

    a pickle of the magic number, one of 1001, one of facts on the machine that wrote it
    a pickle of the state dict, whose tensors refer to storages by their keys
    a pickle of the list of those keys, in the order of what follows
    of each storage: 8 bytes that say how many numbers it has, then the numbers, little-endian

Source: `_legacy_save` in torch/serialization.py of torch 2.13.
"""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._quoting import kind, quoted
from npgpt.checkpoints._files import map_file
from npgpt.checkpoints._tensors import Weights
from npgpt.checkpoints._torch.inert_pickle import PICKLE_LIMIT, load_pickle_at
from npgpt.checkpoints._torch.nanogpt import nanogpt_doubts
from npgpt.checkpoints._torch.state import ALLOWED, RESAVE, Builder, Storage, place_tensors
from npgpt.errors import CheckpointError

FORM = "torch legacy"
# The first pickle; its second byte is the protocol.
_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_PROTOCOL = 1001
_COUNT_BYTES = 8
# In memory beside what the state dict's pickle takes. Training GPT-2 XL takes 1,700 keys of 25
# bytes, and so 44,000 bytes.
_KEYS_LIMIT = 2**17


def is_torch_legacy(data: mmap.mmap) -> bool:
    """Whether a file starts as this format does."""
    return data[:1] == b"\x80" and data[2 : 2 + len(_MAGIC)] == _MAGIC


def read_torch_legacy(path: Path, *, check_sums: bool = True) -> Weights:
    """Every tensor by its name, in the file's order, as a read-only view of the mapped file.

    As `read_torch_zip`, also what it raises. The format has no checksums, so `check_sums`
    changes nothing.
    """
    data = map_file(path)
    builder = Builder(path, "state dict", ending=(None,))
    value, at = load_pickle_at(
        data,
        _after_header(data, path),
        f"{path}: state dict",
        allowed=ALLOWED,
        reduce=builder.reduce,
        persistent=builder.persistent,
    )
    keys, at = load_pickle_at(data, at, f"{path}: list of storages", limit=_KEYS_LIMIT)
    tensors, config = builder.select(value)
    numbers = _numbers(data, at, _in_order(keys, builder), path)
    placed = place_tensors(tensors, lambda storage: numbers[storage.key], path, len(data))
    return Weights(FORM, (path,), placed, config, doubts=nanogpt_doubts(config, path))


def _after_header(data: mmap.mmap, path: Path) -> int:
    """Where the pickle of the state dict starts."""
    if not is_torch_legacy(data):
        raise CheckpointError(f"{path}: does not start as torch.save's files did; {RESAVE}")
    version, at = load_pickle_at(data, 2 + len(_MAGIC), f"{path}: version")
    if type(version) is not int or version != _PROTOCOL:
        raise CheckpointError(f"{path}: version {kind(version)}; npgpt reads {_PROTOCOL}: {RESAVE}")
    facts, at = load_pickle_at(data, at, f"{path}: facts on the machine")
    little = facts.get("little_endian") if isinstance(facts, dict) else None
    if little is not True:
        raise CheckpointError(
            f"{path}: little_endian is {kind(little)}; re-save it on a little-endian machine"
        )
    return at


def pickle_in_legacy(path: Path) -> bytes:
    """The beginning of the state dict's pickle, unread; raises as `read_torch_legacy` does."""
    data = map_file(path)
    start = _after_header(data, path)
    return data[start : start + PICKLE_LIMIT]


def _in_order(keys: object, builder: Builder) -> list[Storage]:
    """The storages that the list of keys names: each that the state dict refers to, once."""
    if type(keys) is not list or not all(isinstance(key, str) for key in keys):
        builder.refuse(f"list of storages: {kind(keys)}; expected a list of texts")
    strays = set(keys).symmetric_difference(builder.storages)
    if strays:
        builder.refuse(
            f"list of storages: {quoted(min(strays))} is not in both the list and the state dict"
        )
    if len(keys) != len(builder.storages):
        builder.refuse("list of storages: names one twice")
    return [builder.storages[key] for key in keys]


def _numbers(
    data: mmap.mmap, at: int, storages: list[Storage], path: Path
) -> dict[str, npt.NDArray[Any]]:
    by_key: dict[str, npt.NDArray[Any]] = {}
    for storage in storages:
        where = f"{path}: storage {quoted(storage.key)}"
        count = int.from_bytes(data[at : at + _COUNT_BYTES], "little", signed=True)
        begin, dtype = at + _COUNT_BYTES, storage.dtype
        left = len(data) - begin
        if left >= 0 and count != storage.count:
            raise CheckpointError(
                f"{where} holds {count} numbers, but {kind(storage.count)} were announced"
            )
        if left < 0 or not 0 <= storage.count <= left // dtype.itemsize:
            raise CheckpointError(
                f"{where}: {kind(storage.count)} numbers of {dtype.name} were announced, but "
                f"{max(left, 0)} bytes are left; the file is cut short: fetch it again"
            )
        # frombuffer refuses an empty stretch.
        by_key[storage.key] = (
            np.frombuffer(data, dtype.bits, count, begin) if count else np.empty(0, dtype.bits)
        )
        at = begin + count * dtype.itemsize
    if at != len(data):
        raise CheckpointError(
            f"{path}: {len(data) - at} bytes after the last storage; fetch it again"
        )
    return by_key
