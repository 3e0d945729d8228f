"""`pytorch_model.bin`: the zip archives of torch.save, read without torch, running nothing.

    NAME/data.pkl    a pickle of the state dict, whose tensors refer to storages by their keys
    NAME/data/KEY    the numbers of one storage, which several tensors may share
    NAME/byteorder   "little"; absent before torch 2.1
    NAME/version, NAME/.format_version, NAME/.storage_alignment, NAME/.data/*   torch's own

torch looks members up without regard to case, and so may take another one than who goes by exact
names. So the archive holds nothing else than these, in this spelling.

Source: https://docs.pytorch.org/docs/stable/notes/serialization.html, and torch/_utils.py and
torch/serialization.py of torch 2.13.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from npgpt._quoting import kind, quoted
from npgpt.checkpoints._files import map_file
from npgpt.checkpoints._stored_zip import ZipMember, check_member_sum, zip_members
from npgpt.checkpoints._tensors import Weights
from npgpt.checkpoints._torch.inert_pickle import PICKLE_LIMIT, load_pickle
from npgpt.checkpoints._torch.nanogpt import nanogpt_doubts
from npgpt.checkpoints._torch.state import ALLOWED, RESAVE, Builder, Storage, place_tensors
from npgpt.errors import CheckpointError

FORM = "torch zip"
_MEMBERS = ("data.pkl", "byteorder", "version", ".format_version", ".storage_alignment")
_FOLDERS = ("data/", ".data/")


@dataclass(frozen=True)
class _Archive:
    path: Path
    data: mmap.mmap
    members: dict[str, ZipMember]
    prefix: str

    def refuse(self, reason: str) -> NoReturn:
        raise CheckpointError(f"{self.path}: {reason}")


def read_torch_zip(path: Path, *, check_sums: bool = True) -> Weights:
    """Every tensor by its name, in the file's order, as a read-only view of the mapped file.

    Tensors keep their strides, and what shares storage shares memory; the same view under two
    names is the same `Stored`. With `check_sums` the numbers are read once, to compare them with
    the archive's checksums. The config is the one in a checkpoint of nanoGPT's.

    Raises CheckpointError, naming the file and the place, for anything but a flat state dict of
    tensors and parameters in an undamaged archive, or nanoGPT's dict around it. Nothing in the
    file is ever run.
    """
    archive = _archive(path)
    builder = Builder(path, "data.pkl")
    value = load_pickle(
        _record(archive, "data.pkl"),
        f"{path}: data.pkl",
        allowed=ALLOWED,
        reduce=builder.reduce,
        persistent=builder.persistent,
    )
    tensors, config = builder.select(value)
    placed = place_tensors(
        tensors, lambda storage: _numbers(archive, storage, check_sums), path, len(archive.data)
    )
    before_torch_2_1 = f"{archive.prefix}byteorder" not in archive.members
    doubts = nanogpt_doubts(config, path) if before_torch_2_1 else {}
    return Weights(FORM, (path,), placed, config, doubts=doubts)


def pickle_in_zip(path: Path) -> bytes:
    """The pickle in the archive, unread; raises as `read_torch_zip` does."""
    return _record(_archive(path), "data.pkl")


def _archive(path: Path) -> _Archive:
    data = map_file(path)
    members = zip_members(data, str(path))
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(
            f"{path}: {len(pickles)} members NAME/data.pkl, where torch.save writes one; {RESAVE}"
        )
    archive = _Archive(path, data, members, pickles[0].removesuffix("data.pkl"))
    if f"{archive.prefix}constants.pkl" in members:
        archive.refuse(f"a TorchScript program, not a state dict; {RESAVE}")
    _check_names(archive)
    if f"{archive.prefix}byteorder" in members and _record(archive, "byteorder") != b"little":
        archive.refuse("its byteorder is not 'little'; re-save it on a little-endian machine")
    return archive


def _check_names(archive: _Archive) -> None:
    """Refuse members that torch.save does not write, and two that torch cannot tell apart."""
    spellings: dict[str, str] = {}
    for name in archive.members:
        other = spellings.setdefault(name.casefold(), name)
        if other != name:
            archive.refuse(
                f"members {quoted(other)} and {quoted(name)}, of which torch may read either; "
                "do not trust this file"
            )
        inside = name.removeprefix(archive.prefix)
        if inside == name or not (inside in _MEMBERS or inside.startswith(_FOLDERS)):
            archive.refuse(
                f"member {quoted(name)}, which torch.save does not write; do not trust this file"
            )


def _record(archive: _Archive, name: str) -> bytes:
    """The bytes of a small member."""
    member = archive.members[archive.prefix + name]
    if member.size > PICKLE_LIMIT:
        archive.refuse(f"{name} has {member.size} bytes; at most {PICKLE_LIMIT} are read")
    check_member_sum(archive.data, member, str(archive.path))
    return archive.data[member.start : member.start + member.size]


def _numbers(archive: _Archive, storage: Storage, check_sums: bool) -> npt.NDArray[Any]:
    member = archive.members.get(f"{archive.prefix}data/{storage.key}")
    if member is None:
        archive.refuse(f"storage {quoted(storage.key)} is missing; fetch the file again")
    if member.size != storage.count * storage.dtype.itemsize:
        archive.refuse(
            f"storage {quoted(storage.key)} has {member.size} bytes, but {kind(storage.count)} "
            f"numbers of {storage.dtype.name} were announced"
        )
    if check_sums:
        check_member_sum(archive.data, member, str(archive.path))
    if storage.count == 0:
        return np.empty(0, storage.dtype.bits)  # frombuffer refuses an empty stretch
    return np.frombuffer(archive.data, storage.dtype.bits, storage.count, member.start)
