"""Where the tensors of a GGUF file lie, as its header says."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from npgpt.checkpoints.dtypes import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, DType, check_shape
from npgpt.checkpoints.gguf.dequantize import BLOCK, BLOCK_BYTES
from npgpt.checkpoints.gguf.values import Cursor, Value
from npgpt.quoting import kind, quoted

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_TENSORS = 20_000  # GPT-2 XL has 581
_MOST_RANK = 4
_LONGEST_NAME = 64  # bytes, as in ggml
_ALIGNMENT = "general.alignment"
_PLAIN = {0: FLOAT32, 1: FLOAT16, 28: FLOAT64, 30: BFLOAT16}
_Q8_0 = 8
_READ = "F32, F16, BF16, F64 and Q8_0"
_OTHERS = {
    2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K",
    13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32",
    27: "I64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A tensor as the header describes it; `dtype` is None for Q8_0."""

    shape: tuple[int, ...]
    dtype: DType | None
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in the file."""
        count = prod(self.shape)
        return count * self.dtype.itemsize if self.dtype else count // BLOCK * BLOCK_BYTES


def counts(cursor: Cursor) -> tuple[int, int]:
    """The numbers of tensors and of metadata keys, after the magic and the version."""
    start = cursor.take(len(MAGIC), "magic")
    magic = cursor.data[start : cursor.place]
    if magic != MAGIC:
        cursor.refuse("magic", f"starts with {magic!r}, not {MAGIC!r}; this is no GGUF file")
    version = cursor.uint32("version")
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    if swapped in _VERSIONS:
        cursor.refuse("version", "big-endian; npgpt reads little-endian: convert the model again")
    if version not in _VERSIONS:
        cursor.refuse("version", f"{version}; npgpt reads 2 and 3: convert the model again")
    tensors, keys = (cursor.uint64(what) for what in ("tensor count", "key count"))
    if not 1 <= tensors <= _MOST_TENSORS:
        cursor.refuse("tensor count", f"{tensors} tensors; npgpt reads 1 to {_MOST_TENSORS}")
    return tensors, keys


def tensor_places(cursor: Cursor, count: int) -> dict[str, Place]:
    """The next `count` tensors, by name, in the file's order."""
    places: dict[str, Place] = {}
    for number in range(count):
        name = cursor.text(f"name of tensor {number + 1} of {count}")
        what = f"tensor {quoted(name)}"
        if not 1 <= len(name.encode()) <= _LONGEST_NAME:
            cursor.refuse(what, f"a name of {len(name.encode())} bytes; names have 1 to 64")
        if name in places:
            cursor.refuse(what, "is there twice")
        places[name] = _place(cursor, what)
    return places


def _place(cursor: Cursor, what: str) -> Place:
    rank = cursor.uint32(what)
    if rank > _MOST_RANK:
        cursor.refuse(what, f"{rank} dimensions; GGUF has at most {_MOST_RANK}")
    shape = tuple(cursor.uint64(what) for _ in range(rank))[::-1]
    code = cursor.uint32(what)
    offset = cursor.uint64(what)
    if 0 in shape:
        cursor.refuse(what, f"is empty, of shape {shape}; weights are not")
    if code != _Q8_0 and code not in _PLAIN:
        cursor.refuse(
            what,
            f"its type is {_OTHERS.get(code, code)}; npgpt reads {_READ}: "
            "convert the model again with --outtype f16 or q8_0",
        )
    dtype = _PLAIN.get(code)
    check_shape(shape, dtype or FLOAT32, f"{cursor.where}: {what}")
    if dtype is None and (not shape or shape[-1] % BLOCK):
        cursor.refuse(what, f"Q8_0 of shape {shape}; its rows are of whole blocks of {BLOCK}")
    return Place(shape, dtype, offset)


def data_alignment(values: Mapping[str, Value], cursor: Cursor) -> int:
    """What the places of tensors are multiples of."""
    alignment = values.get(_ALIGNMENT, 32)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        cursor.refuse(f"metadata {_ALIGNMENT!r}", f"{kind(alignment)}; expected a power of two")
    return alignment


def up(place: int, alignment: int) -> int:
    """The next multiple of the alignment, or the place itself.

    >>> up(33, 32), up(64, 32)
    (64, 64)
    """
    return -(-place // alignment) * alignment


def check_cover(places: Mapping[str, Place], size: int, alignment: int, cursor: Cursor) -> None:
    """Raise CheckpointError unless the tensors, each filled up to the alignment, are all the data.

    size is how many bytes of data the file holds.
    """
    reached = 0
    for name, place in sorted(places.items(), key=lambda item: item[1].offset):
        what = f"tensor {quoted(name)}"
        expected = up(reached, alignment)
        if place.offset != expected:
            fault = "overlaps the tensor before it" if place.offset < reached else "is misplaced"
            cursor.refuse(what, f"{fault}: its offset is {place.offset}, expected {expected}")
        reached = place.offset + place.nbytes
        if reached > size:
            cursor.refuse(
                what,
                f"takes {place.nbytes} bytes from {place.offset} on, but the file holds "
                f"{max(size, 0)} bytes of data; it is cut short or damaged",
            )
    if size > up(reached, alignment):
        cursor.refuse(
            "data", f"{size} bytes, of which the tensors take {reached}; something was added"
        )
