"""The headers of .npy arrays, which an .npz archive is made of.

    b"\\x93NUMPY", a byte each for the major and the minor version
    length of the text, in 2 bytes in version 1.0, in 4 in 2.0 and 3.0, little-endian
    text, such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, spaces, a line break
    the numbers

numpy.load evaluates that text; here one pattern reads it, and knows only such as NumPy writes.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import re
from dataclasses import dataclass

from npgpt.checkpoints.dtypes import DTYPES, MAX_RANK, DType, check_shape
from npgpt.errors import CheckpointError
from npgpt.quoting import quoted

LONGEST = 10_000  # bytes of a header, as in numpy.load
_MAGIC = b"\x93NUMPY"
_LENGTHS = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # bytes
ALIGNMENT = 64

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
class Header:
    """What is said of an array, and how many bytes say it."""

    dtype: DType
    shape: tuple[int, ...]
    fortran_order: bool
    length: int


def parse(start: bytes, where: str) -> Header:
    """The header that an array starts with, of which `start` is at least the first LONGEST bytes.

    Raises CheckpointError, starting with `where`, for anything but an array of numbers that npgpt
    reads, little-endian; above all for one of objects, which are pickles.
    """
    size = _LENGTHS.get((start[6], start[7])) if len(start) > 7 else None
    if start[:6] != _MAGIC or size is None:
        raise CheckpointError(f"{where}: no array of .npy version 1.0, 2.0 or 3.0")
    begin = 8 + size
    length = begin + int.from_bytes(start[8:begin], "little")
    if length > LONGEST or length > len(start):
        raise CheckpointError(
            f"{where}: a header of {length} bytes; at most {min(LONGEST, len(start))} can be read"
        )
    fields = _fields(start[begin:length], where)
    order = fields["fortran_order"]
    if order not in ("True", "False"):
        raise CheckpointError(f"{where}: fortran_order is {quoted(order)}; expected True or False")
    dtype = _dtype(fields["descr"], where)
    shape = check_shape(_shape(fields["shape"], where), dtype, where)
    return Header(dtype, shape, order == "True", length)


def _fields(text: bytes, where: str) -> dict[str, str]:
    said = text.decode("latin-1").rstrip(" \n")
    found: dict[str, str] = {}
    at = 1
    while (match := _FIELD.match(said, at)) is not None:
        if match[1] in found:
            raise CheckpointError(f"{where}: the field {match[1]!r} is given twice")
        found[match[1]] = match[2]
        at = match.end()
    if not said.startswith("{") or said[at:].strip(" ") != "}" or len(found) != 3:
        raise CheckpointError(
            f"{where}: the header is {quoted(said)}; expected descr, fortran_order and shape"
        )
    return found


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


def header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The header of an array in C order, of which `dtype` is what NumPy calls its `str`.

    >>> parse(header("<f4", (2, 3)), "an example").shape
    (2, 3)
    """
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    filled = text + b" " * (-(10 + len(text) + 1) % ALIGNMENT) + b"\n"
    return _MAGIC + b"\1\0" + len(filled).to_bytes(2, "little") + filled
