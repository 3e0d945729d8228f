"""NumPy's .npz: a zip archive of arrays, each a member NAME.npy.

Uncompressed arrays are views of the mapped file. Compressed ones are inflated into memory, and
only where that takes little more than the file's own size.

The archives that npgpt writes have the fields of config.json in an array of that name: its bytes
are the text of the JSON. No array holds bfloat16, which NumPy has not.

Source: https://numpy.org/doc/stable/reference/generated/numpy.savez.html.
"""

import json
import mmap
import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt.checkpoints import npy, stored_zip, strict_json
from npgpt.checkpoints.contents import Weights
from npgpt.checkpoints.dtypes import BY_NAME, FLOAT16, FLOAT32, FLOAT64, Stored, from_floats
from npgpt.checkpoints.files import map_file, replacing
from npgpt.errors import CheckpointError, SettingError
from npgpt.quoting import quoted

FORM = "npz"
SUFFIX = ".npz"
CONFIG = "config.json"
STORAGE = tuple(dtype.name for dtype in (FLOAT64, FLOAT32, FLOAT16))
_NPY = ".npy"
_METHODS = (stored_zip.STORED, stored_zip.DEFLATED)
_MORE = 48 * 2**20  # bytes that arrays may take beyond the file's own size once they are inflated
_CHUNK = 2**20
_LOCAL_HEADER = 30  # bytes of a member's header in the file, without its name
_ZIP64_EXTRA = 20
_EXTRA_HEADER = 4
_PADDING = 0xD935  # the kind of extra field that tools for Android align members with


def is_npz(names: Mapping[str, object]) -> bool:
    """Whether an archive of members of these names is one of arrays."""
    return any(name.endswith(_NPY) for name in names)


def read(path: Path, *, check_sums: bool = True) -> Weights:
    """Every array by its name, in the file's order, and the config if the file has one.

    With `check_sums` the numbers are read once, to compare them with the archive's checksums;
    those of compressed arrays are compared in any case.

    Raises CheckpointError, naming the file and the array, for anything but an undamaged archive of
    arrays of numbers: none of them may hold objects. Nothing in the file is ever run.
    """
    data = map_file(path)
    members = stored_zip.members(data, str(path), methods=_METHODS)
    inflated = sum(m.size for m in members.values() if m.method == stored_zip.DEFLATED)
    if inflated > len(data) + _MORE:
        raise CheckpointError(
            f"{path}: {len(data)} bytes would become {inflated}; save it with numpy.savez, which "
            "does not compress"
        )
    config: Mapping[str, Any] | None = None
    tensors: dict[str, Stored] = {}
    for name, member in members.items():
        where = f"{path}: array {quoted(name.removesuffix(_NPY))}"
        if not name.endswith(_NPY):
            raise CheckpointError(f"{path}: member {quoted(name)} is no {_NPY}; an npz holds those")
        if member.method == stored_zip.STORED and check_sums:
            stored_zip.check_sum(data, member, str(path))
        tensor = _tensor(data, member, path, where)
        if name == CONFIG + _NPY:
            config = _config(tensor, where)
        else:
            tensors[name.removesuffix(_NPY)] = tensor
    return Weights(FORM, (path,), tensors, config)


def _tensor(data: mmap.mmap, member: stored_zip.Member, path: Path, where: str) -> Stored:
    if member.method == stored_zip.DEFLATED:
        raw: npt.NDArray[Any] = _inflated(data, member, where)
    elif member.size:
        raw = np.frombuffer(data, np.uint8, member.size, member.start)
    else:
        raw = np.empty(0, np.uint8)  # frombuffer refuses an empty stretch
    head = npy.parse(raw[: npy.LONGEST].tobytes(), where)
    expected = prod(head.shape) * head.dtype.itemsize
    if expected != len(raw) - head.length:
        raise CheckpointError(
            f"{where}: {head.dtype.name} of shape {head.shape} takes {expected} bytes, but "
            f"{len(raw) - head.length} are there"
        )
    numbers = raw[head.length :].view(head.dtype.bits)
    return Stored(
        head.dtype, numbers.reshape(head.shape, order="F" if head.fortran_order else "C"), path
    )


def _inflated(data: mmap.mmap, member: stored_zip.Member, where: str) -> npt.NDArray[np.uint8]:
    """The member's bytes, of which there are as many as announced, and none more is made."""
    whole = np.empty(member.size, np.uint8)  # which takes memory only once it is filled
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    at, end, filled, crc = member.start, member.start + member.packed, 0, 0
    try:
        while not engine.eof:
            packed = engine.unconsumed_tail or data[at : min(at + _CHUNK, end)]
            at += 0 if engine.unconsumed_tail else len(packed)
            piece = engine.decompress(packed, _CHUNK)
            if not (packed or piece):
                break
            if filled + len(piece) > member.size:
                raise CheckpointError(f"{where}: inflates to more than {member.size} bytes")
            whole[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
            crc = zlib.crc32(piece, crc)
    except zlib.error as error:
        raise CheckpointError(f"{where}: cannot be inflated ({error}); fetch it again") from None
    if not engine.eof or filled != member.size or at != end or engine.unused_data:
        raise CheckpointError(f"{where}: does not inflate to the {member.size} bytes announced")
    if crc != member.crc:
        raise CheckpointError(
            f"{where}: has the checksum {crc:08x}, not {member.crc:08x}; fetch the file again"
        )
    return whole


def _config(stored: Stored, where: str) -> Mapping[str, Any]:
    if stored.dtype.name != "uint8" or stored.data.ndim != 1:
        raise CheckpointError(f"{where}: not the bytes of a JSON text")
    if stored.data.size > strict_json.LIMIT:
        raise CheckpointError(f"{where}: {stored.data.size} bytes; at most {strict_json.LIMIT}")
    return strict_json.parse_object(stored.data.tobytes(), where)


def write(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], config: Mapping[str, Any], *, dtype: str
) -> None:
    """Write the arrays, rounded to `dtype`, and the config's fields.

    The file appears in one step, or not at all, and its arrays are aligned. Raises SettingError
    for a dtype that NumPy lacks, CheckpointError for a value too large for it and for a file that
    cannot be written.
    """
    if dtype not in STORAGE:
        raise SettingError(f"dtype is {dtype!r}; an npz holds {', '.join(STORAGE)}")
    form = BY_NAME[dtype]
    if CONFIG in arrays:
        raise CheckpointError(f"no tensor can be named {CONFIG!r}; rename it")
    text = np.frombuffer(json.dumps(dict(config), sort_keys=True).encode(), np.uint8)
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, file.tell(), CONFIG, text)
        for name, array in arrays.items():
            bits = from_floats(array, form, quoted(name))
            _add(archive, file.tell(), name, np.require(bits, form.bits, "C"))


def _add(archive: zipfile.ZipFile, at: int, name: str, array: npt.NDArray[Any]) -> None:
    info = zipfile.ZipInfo(name + _NPY)  # with the date of 1980, so that equal files are equal
    taken = at + _LOCAL_HEADER + len(info.filename.encode()) + _ZIP64_EXTRA + _EXTRA_HEADER
    padding = -taken % npy.ALIGNMENT
    info.extra = _PADDING.to_bytes(2, "little") + padding.to_bytes(2, "little") + bytes(padding)
    info.file_size = array.nbytes + npy.ALIGNMENT
    with archive.open(info, "w", force_zip64=True) as member:
        member.write(npy.header(array.dtype.str, array.shape))
        member.write(array.data)
