"""`pytorch_model.bin`: the zip archives of torch.save, read without torch, running nothing.

    NAME/data.pkl    a pickle of the state dict, whose tensors refer to storages by their keys
    NAME/data/KEY    the numbers of one storage, which several tensors may share
    NAME/byteorder   "little"; absent before torch 2.1

Source: https://docs.pytorch.org/docs/stable/notes/serialization.html, and torch/_utils.py and
torch/serialization.py of torch 2.13.
"""

import mmap
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from npgpt.checkpoints import inert_pickle, stored_zip
from npgpt.checkpoints.dtypes import DTYPES, DType, Stored
from npgpt.checkpoints.files import map_file
from npgpt.checkpoints.pickle_machine import Global
from npgpt.checkpoints.quoting import kind, quoted
from npgpt.checkpoints.strided import strided
from npgpt.errors import CheckpointError

_ORDERED_DICT = Global("collections", "OrderedDict")
_TENSOR = Global("torch._utils", "_rebuild_tensor_v2")
_PARAMETER = Global("torch._utils", "_rebuild_parameter")
_STORAGES = {Global("torch", dtype.storage): dtype for dtype in DTYPES}
_ALLOWED = {_ORDERED_DICT, _TENSOR, _PARAMETER, *_STORAGES}
_RESAVE = "save model.state_dict() with torch.save"

# Tensors that overlap in the file need memory of their own once converted, so without a bound a
# small file could ask for any amount. Real checkpoints share whole tensors, which count once.
_OVERLAP = 2**26


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: DType
    values: npt.NDArray[Any]


@dataclass
class _Archive:
    path: Path
    data: mmap.mmap
    members: dict[str, stored_zip.Member]
    prefix: str
    check_sums: bool
    storages: dict[str, _Storage] = field(default_factory=dict)
    views: dict[tuple[object, ...], Stored] = field(default_factory=dict)

    def refuse(self, reason: str) -> NoReturn:
        raise CheckpointError(f"{self.path}: {reason}")


def read(path: Path, *, check_sums: bool = True) -> dict[str, Stored]:
    """Every tensor by its name, in the file's order, as a read-only view of the mapped file.

    Tensors keep their strides, and what shares storage shares memory; the same view under two
    names is the same `Stored`. With `check_sums` the numbers are read once, to compare them with
    the archive's checksums.

    Raises CheckpointError, naming the file and the place, for anything but a flat state dict of
    tensors and parameters in an undamaged archive. Nothing in the file is ever run.
    """
    archive = _archive(path, check_sums)
    state = inert_pickle.load(
        _record(archive, "data.pkl"),
        f"{path}: data.pkl",
        allowed=_ALLOWED,
        reduce=lambda function, arguments: _call(archive, function, arguments),
        persistent=lambda reference: _storage(archive, reference),
    )
    if not isinstance(state, dict):
        archive.refuse(f"holds {kind(state)}; expected a state dict: {_RESAVE}")
    for name, value in state.items():
        if not isinstance(value, Stored):
            archive.refuse(f"{quoted(name)} is {kind(value)}; expected a tensor: {_RESAVE}")
    total = sum(view.data.nbytes for view in archive.views.values())
    if total > len(archive.data) + _OVERLAP:
        archive.refuse(f"its tensors overlap so much that {len(archive.data)} bytes become {total}")
    return dict(state)


def _archive(path: Path, check_sums: bool) -> _Archive:
    data = map_file(path)
    members = stored_zip.members(data, str(path))
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(
            f"{path}: {len(pickles)} members NAME/data.pkl, where torch.save writes one; {_RESAVE}"
        )
    archive = _Archive(path, data, members, pickles[0].removesuffix("data.pkl"), check_sums)
    if f"{archive.prefix}constants.pkl" in members:
        archive.refuse(f"a TorchScript program, not a state dict; {_RESAVE}")
    if f"{archive.prefix}byteorder" in members and _record(archive, "byteorder") != b"little":
        archive.refuse("its byteorder is not 'little'; re-save it on a little-endian machine")
    return archive


def _record(archive: _Archive, name: str) -> bytes:
    """The bytes of a small member."""
    member = archive.members[archive.prefix + name]
    if member.size > inert_pickle.LIMIT:
        archive.refuse(f"{name} has {member.size} bytes; at most {inert_pickle.LIMIT} are read")
    stored_zip.check_sum(archive.data, member, str(archive.path))
    return archive.data[member.start : member.start + member.size]


def _call(archive: _Archive, function: Global, arguments: tuple[Any, ...]) -> object:
    if (function, len(arguments)) not in ((_ORDERED_DICT, 0), (_TENSOR, 6), (_PARAMETER, 3)):
        archive.refuse(
            f"data.pkl: calls {function.name} with {len(arguments)} arguments; {_RESAVE}"
        )
    if function == _ORDERED_DICT:
        return OrderedDict()
    *rest, requires_grad, hooks = arguments
    if not isinstance(requires_grad, bool) or type(hooks) is not OrderedDict or hooks:
        archive.refuse("data.pkl: a tensor with hooks, or without its requires_grad")
    if function == _TENSOR:
        storage, *geometry = rest
        return _tensor(archive, storage, tuple(geometry))
    (tensor,) = rest
    if not isinstance(tensor, Stored):
        archive.refuse(f"data.pkl: a parameter of {kind(tensor)}; expected a tensor")
    return tensor


def _tensor(archive: _Archive, storage: object, geometry: tuple[Any, ...]) -> Stored:
    if not isinstance(storage, _Storage):
        archive.refuse(f"data.pkl: a tensor in {kind(storage)}; expected a storage")
    where = f"{archive.path}: a tensor in storage {quoted(storage.key)}"
    data = strided(storage.values, storage.dtype, geometry, where)
    # By now all three are known to be whole numbers and tuples of them.
    return archive.views.setdefault(
        (storage.key, *geometry), Stored(storage.dtype, data, archive.path)
    )


def _storage(archive: _Archive, reference: object) -> _Storage:
    """The storage of a persistent id, ("storage", type, key, location, count)."""
    match reference:
        case ("storage", Global() as form, str(key), str(), int(count)) if (
            form in _STORAGES and type(count) is int
        ):
            dtype = _STORAGES[form]
        case _:
            archive.refuse(f"data.pkl: refers to {kind(reference)}; expected a storage")
    known = archive.storages.get(key)
    if known is None:
        known = _Storage(key, dtype, _numbers(archive, key, dtype, count))
        archive.storages[key] = known
    if known.dtype is not dtype or known.values.size != count:
        archive.refuse(f"data.pkl: storage {quoted(key)} is described in two ways")
    return known


def _numbers(archive: _Archive, key: str, dtype: DType, count: int) -> npt.NDArray[Any]:
    member = archive.members.get(f"{archive.prefix}data/{key}")
    if member is None:
        archive.refuse(f"storage {quoted(key)} is missing; fetch the file again")
    if member.size != count * dtype.itemsize:
        archive.refuse(
            f"storage {quoted(key)} has {member.size} bytes, but {kind(count)} numbers of "
            f"{dtype.name} were announced"
        )
    if archive.check_sums:
        stored_zip.check_sum(archive.data, member, str(archive.path))
    if count == 0:
        return np.empty(0, dtype.bits)  # frombuffer refuses an empty stretch
    return np.frombuffer(archive.data, dtype.bits, count, member.start)
