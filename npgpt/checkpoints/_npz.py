"""NumPy's .npz: a zip archive of arrays, each a member NAME.npy.

Uncompressed arrays are views of the mapped file. Compressed ones are inflated into memory, and
only where that takes little more than the file's own size.

The archives that npgpt writes have the fields of config.json in an array of that name: its bytes
are the text of the JSON. No array holds bfloat16, which NumPy has not.

A NAME.npy starts with a header, and then come the numbers:

    b"\\x93NUMPY", a byte each for the major and the minor version
    length of the text, in 2 bytes in version 1.0, in 4 in 2.0 and 3.0, little-endian
    text, such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, spaces, a line break

numpy.load evaluates that text; here one pattern reads it, and knows only such as NumPy writes.

Source: https://numpy.org/doc/stable/reference/generated/numpy.savez.html, and numpy.lib.format.html
beside it.
"""

import json
import mmap
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from npgpt._quoting import quoted
from npgpt.checkpoints._files import JSON_LIMIT, map_file, parse_json_object, replacing
from npgpt.checkpoints._stored_zip import DEFLATED, STORED, ZipMember, check_member_sum, zip_members
from npgpt.checkpoints._tensors import (
    BY_NAME,
    DTYPES,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    MAX_RANK,
    DType,
    Stored,
    Weights,
    check_shape,
    from_floats,
)
from npgpt.errors import CheckpointError, SettingError

if TYPE_CHECKING:
    import zipfile

NPZ = "npz"
NPZ_SUFFIX = ".npz"
CONFIG_ARRAY = "config.json"
NPZ_DTYPES = tuple(dtype.name for dtype in (FLOAT64, FLOAT32, FLOAT16))
_NPY = ".npy"
_METHODS = (STORED, DEFLATED)
_MORE = 48 * 2**20  # bytes that arrays may take beyond the file's own size once they are inflated
_CHUNK = 2**20
_LOCAL_HEADER = 30  # bytes of a member's header in the file, without its name
_ZIP64_EXTRA = 20
_EXTRA_HEADER = 4
_PADDING = 0xD935  # the kind of extra field that tools for Android align members with


def holds_arrays(data: mmap.mmap, path: Path) -> bool:
    """Whether a zip archive is one of arrays; CheckpointError unless it is undamaged."""
    members = zip_members(data, str(path), methods=_METHODS)
    return any(name.endswith(_NPY) for name in members)


def read_npz(path: Path, *, check_sums: bool = True) -> Weights:
    """Every array by its name, in the file's order, and the config if the file has one.

    With `check_sums` the numbers are read once, to compare them with the archive's checksums;
    those of compressed arrays are compared in any case.

    Raises CheckpointError, naming the file and the array, for anything but an undamaged archive of
    arrays of numbers: none of them may hold objects. Nothing in the file is ever run.
    """
    data = map_file(path)
    members = zip_members(data, str(path), methods=_METHODS)
    inflated = sum(m.size for m in members.values() if m.method == DEFLATED)
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
        if member.method == STORED and check_sums:
            check_member_sum(data, member, str(path))
        tensor = _tensor(data, member, path, where)
        if name == CONFIG_ARRAY + _NPY:
            config = _config(tensor, where)
        else:
            tensors[name.removesuffix(_NPY)] = tensor
    return Weights(NPZ, (path,), tensors, config)


def _tensor(data: mmap.mmap, member: ZipMember, path: Path, where: str) -> Stored:
    if member.method == DEFLATED:
        raw: npt.NDArray[Any] = _inflated(data, member, where)
    elif member.size:
        raw = np.frombuffer(data, np.uint8, member.size, member.start)
    else:
        raw = np.empty(0, np.uint8)  # frombuffer refuses an empty stretch
    head = parse_npy_header(raw[:LONGEST_NPY_HEADER].tobytes(), where)
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


def _inflated(data: mmap.mmap, member: ZipMember, where: str) -> npt.NDArray[np.uint8]:
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
    if stored.data.size > JSON_LIMIT:
        raise CheckpointError(f"{where}: {stored.data.size} bytes; at most {JSON_LIMIT}")
    return parse_json_object(stored.data.tobytes(), where)


def write_npz(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], config: Mapping[str, Any], *, dtype: str
) -> None:
    """Write the arrays, rounded to `dtype`, and the config's fields.

    The file appears in one step, or not at all, and its arrays are aligned. Raises SettingError
    for a dtype that NumPy lacks, CheckpointError for a value too large for it and for a file that
    cannot be written.
    """
    if dtype not in NPZ_DTYPES:
        raise SettingError(f"dtype is {dtype!r}; an npz holds {', '.join(NPZ_DTYPES)}")
    form = BY_NAME[dtype]
    if CONFIG_ARRAY in arrays:
        raise CheckpointError(f"no tensor can be named {CONFIG_ARRAY!r}; rename it")
    text = np.frombuffer(json.dumps(dict(config), sort_keys=True).encode(), np.uint8)
    import zipfile  # which reading does not need

    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, file.tell(), CONFIG_ARRAY, text)
        for name, array in arrays.items():
            bits = from_floats(array, form, quoted(name))
            _add(archive, file.tell(), name, np.require(bits, form.bits, "C"))


def _add(archive: "zipfile.ZipFile", at: int, name: str, array: npt.NDArray[Any]) -> None:
    from zipfile import ZipInfo

    info = ZipInfo(name + _NPY)  # with the date of 1980, so that equal files are equal
    taken = at + _LOCAL_HEADER + len(info.filename.encode()) + _ZIP64_EXTRA + _EXTRA_HEADER
    padding = -taken % NPY_ALIGNMENT
    info.extra = _PADDING.to_bytes(2, "little") + padding.to_bytes(2, "little") + bytes(padding)
    info.file_size = array.nbytes + NPY_ALIGNMENT
    with archive.open(info, "w", force_zip64=True) as member:
        member.write(npy_header(array.dtype.str, array.shape))
        member.write(array.data)


LONGEST_NPY_HEADER = 10_000  # bytes of a header, as in numpy.load
_MAGIC = b"\x93NUMPY"
_LENGTHS = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # bytes
NPY_ALIGNMENT = 64

_SIZES = re.compile(r"\(((?:[0-9]{1,19}, ?)*)([0-9]{1,19})?,?\)")
_FIELD = re.compile(
    r" *['\"](descr|fortran_order|shape)['\"] *: *('[^']*'|\"[^\"]*\"|True|False|\([^()]*\)|\[.*\])"
    r" *(?:,|(?=\}))"
)
# bfloat16 is not one of NumPy's own: uint16 would not say that it stands for it.
_BY_DESCR = {d.bits: d for d in DTYPES if d.name not in ("bfloat16", "bool")} | {
    "|b1": next(d for d in DTYPES if d.name == "bool")
}


@dataclass(frozen=True)
class NpyHeader:
    """What is said of an array, and how many bytes say it."""

    dtype: DType
    shape: tuple[int, ...]
    fortran_order: bool
    length: int


def parse_npy_header(start: bytes, where: str) -> NpyHeader:
    """The header that an array starts with, of which `start` is at least the first LONGEST bytes.

    Raises CheckpointError, starting with `where`, for anything but an array of numbers that npgpt
    reads, little-endian; above all for one of objects, which are pickles.
    """
    size = _LENGTHS.get((start[6], start[7])) if len(start) > 7 else None
    if start[:6] != _MAGIC or size is None:
        raise CheckpointError(f"{where}: no array of .npy version 1.0, 2.0 or 3.0")
    begin = 8 + size
    length = begin + int.from_bytes(start[8:begin], "little")
    if length > LONGEST_NPY_HEADER or length > len(start):
        raise CheckpointError(
            f"{where}: a header of {length} bytes; at most {min(LONGEST_NPY_HEADER, len(start))} "
            "can be read"
        )
    fields = _fields(start[begin:length], where)
    order = fields["fortran_order"]
    if order not in ("True", "False"):
        raise CheckpointError(f"{where}: fortran_order is {quoted(order)}; expected True or False")
    dtype = _dtype(fields["descr"], where)
    shape = check_shape(_shape(fields["shape"], where), dtype, where)
    return NpyHeader(dtype, shape, order == "True", length)


def _fields(text: bytes, where: str) -> dict[str, str]:
    header = text.decode("latin-1").rstrip(" \n")
    fields: dict[str, str] = {}
    at = 1
    while (match := _FIELD.match(header, at)) is not None:
        if match[1] in fields:
            raise CheckpointError(f"{where}: the field {match[1]!r} is given twice")
        fields[match[1]] = match[2]
        at = match.end()
    if not header.startswith("{") or header[at:].strip(" ") != "}" or len(fields) != 3:
        raise CheckpointError(
            f"{where}: the header is {quoted(header)}; expected descr, fortran_order and shape"
        )
    return fields


def _dtype(descr: str, where: str) -> DType:
    name = descr[1:-1]
    if descr[0] not in "'\"":
        raise CheckpointError(f"{where}: descr is {quoted(descr)}; npgpt reads arrays of numbers")
    if name.endswith("O") or name[1:2] == "O":
        raise CheckpointError(
            f"{where}: an array of objects, which are pickles and can run code; do not trust it"
        )
    if name[:1] == ">":
        raise CheckpointError(f"{where}: {quoted(name)} is big-endian; save it as little-endian")
    dtype = _BY_DESCR.get(name)
    if dtype is None:
        raise CheckpointError(
            f"{where}: numbers of {quoted(name)}; npgpt reads {', '.join(_BY_DESCR)}"
        )
    return dtype


def _shape(text: str, where: str) -> list[int]:
    match = _SIZES.fullmatch(text)
    # As in Python, one size needs a comma after it: (3,).
    if (
        match is None
        or (text.endswith(",)") and not (match[1] or match[2]))
        or text == f"({match[2]})"
    ):
        raise CheckpointError(f"{where}: shape is {quoted(text)}; expected whole numbers")
    sizes = [int(size) for size in re.findall("[0-9]+", text)]
    if len(sizes) > MAX_RANK:
        raise CheckpointError(f"{where}: {len(sizes)} dimensions; at most {MAX_RANK} are allowed")
    return sizes


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The header of an array in C order, of which `dtype` is what NumPy calls its `str`.

    >>> parse_npy_header(npy_header("<f4", (2, 3)), "an example").shape
    (2, 3)
    """
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    filled = text + b" " * (-(10 + len(text) + 1) % NPY_ALIGNMENT) + b"\n"
    return _MAGIC + b"\1\0" + len(filled).to_bytes(2, "little") + filled
