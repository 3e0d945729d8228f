"""The GGUF format, of llama.cpp: metadata and tensors in one file, for a GPT-2.

    "GGUF", 4 bytes of version, 8 bytes of the number of tensors, 8 of that of metadata keys
    the metadata (see `metadata`)
    of each tensor: its name, a text; 4 bytes of rank; 8 bytes of each size, the fastest first;
        4 bytes that name its type; 8 bytes of its offset from the start of the data
    the data, from the next multiple of general.alignment on: the tensors, little-endian, each
        starting at such a multiple, and filled up to one

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. As llama.cpp does, this reader
refuses data with gaps; and besides, data with more behind it than fills up the last tensor.
"""

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from npgpt._quoting import kind, quoted
from npgpt.checkpoints._files import map_file
from npgpt.checkpoints._gguf.config import check_architecture, gguf_config
from npgpt.checkpoints._gguf.metadata import Cursor, Names, Value, read_metadata, read_named
from npgpt.checkpoints._gguf.tokens import gguf_tokenizer
from npgpt.checkpoints._tensors import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    DType,
    Stored,
    Weights,
    check_shape,
)
from npgpt.tokenizer._disk import reading

FORM = "GGUF"
# Q8_0, ggml's numbers of 8 bits: blocks of whole numbers, each block with a scale.
BLOCK = 32
_LAYOUT = np.dtype([("scale", "<f2"), ("codes", "i1", (BLOCK,))])
BLOCK_BYTES = _LAYOUT.itemsize
MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_TENSORS = 20_000  # GPT-2 XL has 581
_MOST_RANK = 4
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
# 64 bytes, as in ggml.
_TENSORS = Names(
    "name of tensor",
    "tensor",
    "name",
    64,
    "bytes",
    lambda name: len(name.encode()),
    "is there twice",
)


@dataclass(frozen=True)
class TensorPlace:
    """A tensor as the header describes it; `dtype` is None for Q8_0."""

    shape: tuple[int, ...]
    dtype: DType | None
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in the file."""
        count = prod(self.shape)
        return count * self.dtype.itemsize if self.dtype else count // BLOCK * BLOCK_BYTES


def read_gguf(path: Path, *, check_sums: bool = True) -> Weights:
    """Every tensor by its name, in the file's order, with the config and tokenizer there.

    Shapes are in C order: the reverse of what the file says, so a matrix is (out, in). F32, F16,
    BF16 and F64 are read-only views of the mapped file. Q8_0 becomes float32 in memory, once all
    else is found to be right: 3.8 times what it takes in the file. The format has no checksums,
    so `check_sums` changes nothing.

    Raises CheckpointError, ConfigError or TokenizerError, naming the file and the place, for
    anything that the format forbids, that is not a GPT-2, or that contradicts itself.
    """
    data = map_file(path)
    cursor = Cursor(data, str(path))
    tensors, keys = read_counts(cursor)
    values = read_metadata(cursor, keys)
    check_architecture(values, str(path))
    places = read_places(cursor, tensors)
    alignment = data_alignment(values, cursor)
    start = align_up(cursor.place, alignment)
    check_cover(places, len(data) - start, alignment, cursor)
    config = gguf_config(values, {name: p.shape for name, p in places.items()}, str(path))
    with reading(path):
        tokenizer = gguf_tokenizer(values)
    stored = {
        name: _stored(data, place, start + place.offset, path) for name, place in places.items()
    }
    return Weights(FORM, (path,), stored, config, tokenizer)


def _stored(data: mmap.mmap, place: TensorPlace, start: int, path: Path) -> Stored:
    if place.dtype is None:
        raw = np.frombuffer(data, np.uint8, place.nbytes, start)
        return Stored(FLOAT32, dequantize_q8_0(raw).reshape(place.shape), path)
    numbers = np.frombuffer(data, place.dtype.bits, prod(place.shape), start)
    return Stored(place.dtype, numbers.reshape(place.shape), path)


def read_counts(cursor: Cursor) -> tuple[int, int]:
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


def read_places(cursor: Cursor, count: int) -> dict[str, TensorPlace]:
    """The next `count` tensors, by name, in the file's order."""
    return read_named(cursor, count, _TENSORS, _place)


def _place(cursor: Cursor, what: str) -> TensorPlace:
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
    return TensorPlace(shape, dtype, offset)


def data_alignment(values: Mapping[str, Value], cursor: Cursor) -> int:
    """What the places of tensors are multiples of."""
    alignment = values.get(_ALIGNMENT, 32)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        cursor.refuse(f"metadata {_ALIGNMENT!r}", f"{kind(alignment)}; expected a power of two")
    return alignment


def align_up(place: int, alignment: int) -> int:
    """The next multiple of the alignment, or the place itself.

    >>> align_up(33, 32), align_up(64, 32)
    (64, 64)
    """
    return -(-place // alignment) * alignment


def check_cover(
    places: Mapping[str, TensorPlace], size: int, alignment: int, cursor: Cursor
) -> None:
    """Raise CheckpointError unless the tensors, each filled up to the alignment, are all the data.

    size is how many bytes of data the file holds.
    """
    reached = 0
    for name, place in sorted(places.items(), key=lambda item: item[1].offset):
        what = f"tensor {quoted(name)}"
        expected = align_up(reached, alignment)
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
    if size > align_up(reached, alignment):
        cursor.refuse(
            "data", f"{size} bytes, of which the tensors take {reached}; something was added"
        )


def dequantize_q8_0(stored: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The numbers scale · code, float32 and read-only, exact: 11 bits times 8 fit into 24.

    stored (blocks · 34,) -> (blocks · 32,), which takes 3.8 times the memory.
    Source: `dequantize_row_q8_0` in ggml-quants.c.

    >>> dequantize_q8_0(np.array([0x00, 0x38, *range(32)], np.uint8))[:4]  # 0x3800 is a half
    array([0. , 0.5, 1. , 1.5], dtype=float32)
    """
    blocks = stored.view(_LAYOUT)
    with np.errstate(invalid="ignore"):
        scales = blocks["scale"].astype(np.float32)
        numbers = np.multiply(blocks["codes"], scales[:, np.newaxis], dtype=np.float32)
    numbers.flags.writeable = False
    flat: npt.NDArray[np.float32] = numbers.reshape(-1)
    return flat
