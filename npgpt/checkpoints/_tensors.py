"""Tensors as they lie in a file: their dtypes, and how they become arrays of floats and back.

bfloat16, which NumPy lacks, is the upper half of a float32, kept in a uint16.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array
from npgpt._kernels.upcast import upcast
from npgpt._quoting import kind
from npgpt.errors import CheckpointError
from npgpt.tokenizer._encoding import Tokenizer

MAX_RANK = 32  # NumPy before 2.0 has no arrays of more dimensions
_MAX_BYTES = 2**62  # what NumPy can count without overflow, with room to spare


@dataclass(frozen=True)
class DType:
    """One number format: its name, what its bytes are viewed as, and how the formats name it."""

    name: str
    bits: str  # bfloat16 has no NumPy dtype; a byte read as bool might be neither 0 nor 1
    safetensors: str
    storage: str
    holds_weights: bool = False

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return np.dtype(self.bits).itemsize


FLOAT64 = DType("float64", "<f8", "F64", "DoubleStorage", True)
FLOAT32 = DType("float32", "<f4", "F32", "FloatStorage", True)
FLOAT16 = DType("float16", "<f2", "F16", "HalfStorage", True)
BFLOAT16 = DType("bfloat16", "<u2", "BF16", "BFloat16Storage", True)
DTYPES = (
    FLOAT64,
    FLOAT32,
    FLOAT16,
    BFLOAT16,
    DType("int64", "<i8", "I64", "LongStorage"),
    DType("int32", "<i4", "I32", "IntStorage"),
    DType("int16", "<i2", "I16", "ShortStorage"),
    DType("int8", "|i1", "I8", "CharStorage"),
    DType("uint8", "|u1", "U8", "ByteStorage"),
    DType("bool", "|u1", "BOOL", "BoolStorage"),
)
NARROW = (FLOAT16, BFLOAT16)  # what `kernels.upcast` takes
BY_NAME = {dtype.name: dtype for dtype in DTYPES}


@dataclass(frozen=True, eq=False, repr=False)
class Stored:
    """A tensor as it lies in a file: `data` is a view of the file, read only when looked at.

    Equal to itself alone; `same_bits` compares.
    """

    dtype: DType
    data: npt.NDArray[Any]
    file: Path

    def __repr__(self) -> str:
        return f"Stored({self.dtype.name}, {self.data.shape}, {self.file.name!r})"


def check_shape(shape: Sequence[object], dtype: DType, where: str) -> tuple[int, ...]:
    """The shape, once it is known to be whole numbers that some array can have.

    Raises CheckpointError, starting with `where`, for more than 32 dimensions, a dimension that
    is not a whole number of 0 or more, and a size that overflows.

    >>> check_shape([2, 3], FLOAT32, "an example")
    (2, 3)
    """
    if len(shape) > MAX_RANK:
        raise CheckpointError(f"{where}: {len(shape)} dimensions; at most {MAX_RANK} are allowed")
    sizes: list[int] = []
    for size in shape:
        # `type`, not `isinstance`: True is no size.
        if type(size) is not int or size < 0:
            raise CheckpointError(f"{where}: {kind(size)} in the shape; expected whole numbers")
        sizes.append(size)
    if prod(max(size, 1) for size in sizes) * dtype.itemsize > _MAX_BYTES:
        raise CheckpointError(f"{where}: a shape of over 2^62 bytes; the file is damaged")
    return tuple(sizes)


def to_floats(stored: Stored, dtype: npt.DTypeLike) -> Array:
    """The tensor's values as float32 or float64, read-only, aligned, without gaps in memory.

    Rows or columns lie one after another, as they are stored. Exact wherever `dtype` is no narrower
    than what is stored, and then a view of the file if the two are the same. A float64 too large
    for float32 becomes infinite.
    """
    if stored.dtype in NARROW:
        floats = upcast(as_stored(stored), dtype)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            floats = np.asarray(stored.data).astype(dtype, copy=False)
    return _straight(floats)


def as_stored(stored: Stored) -> npt.NDArray[Any]:
    """The tensor in its own dtype, uint16 for bfloat16: read-only, aligned, without gaps.

    A view of the file unless that is laid out otherwise.
    """
    native = np.asarray(stored.data).astype(
        np.dtype(stored.dtype.bits).newbyteorder("="), copy=False
    )
    return _straight(native)


def _straight(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    straight = np.require(array, requirements=["A"] if array.flags.forc else ["A", "C"])
    straight.flags.writeable = False
    return straight


def from_floats(array: Array, dtype: DType, where: str) -> npt.NDArray[Any]:
    """The values rounded to the nearest of `dtype`, of two equally near the even one.

    Raises CheckpointError, starting with `where`, where a finite value would become infinite.
    """
    if dtype is BFLOAT16:
        bits: npt.NDArray[Any] = to_bfloat16(array)
        rounded: npt.NDArray[Any] = from_bfloat16(bits)
    else:
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            bits = rounded = np.asarray(array).astype(dtype.bits)
    if not np.array_equal(np.isfinite(array), np.isfinite(rounded)):
        largest = np.abs(array[np.isfinite(array)]).max()
        raise CheckpointError(
            f"{where}: {largest} does not fit {dtype.name}; save it as float32 or float64"
        )
    return bits


Bfloat16Bits = npt.NDArray[np.uint16]
_HALF = 16  # bits of a float32 that bfloat16 drops
_QUIET_NAN = np.uint16(0x7FC0)


def from_bfloat16(bits: npt.NDArray[Any]) -> Array:
    """The float32 of the same value; exact.

    >>> from_bfloat16(np.array([0x3FC0, 0xFF80], np.uint16))
    array([ 1.5, -inf], dtype=float32)
    """
    return upcast(np.asarray(bits))


def to_bfloat16(array: Array) -> Bfloat16Bits:
    """The nearest bfloat16 of each float32 or float64, of two equally near the even one.

    A float64 is rounded once, not by way of a rounded float32. NaN stays NaN; what is past the
    largest bfloat16 (3.39e38) by half a step or more becomes infinite.

    >>> [hex(b) for b in to_bfloat16(np.array([1.5, 1.00390625, 1.01171875]))]
    ['0x3fc0', '0x3f80', '0x3f82']
    """
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.asarray(array, np.float32)
    bits = np.array(single).view(np.uint32)
    if array.dtype == np.float64:
        _round_to_odd(bits, single, array)
    # Adding just under half a step, or just half where the kept part is odd, carries into the
    # kept half exactly when rounding up is due.
    kept_is_odd = (bits >> np.uint32(_HALF)) & np.uint32(1)
    bits += kept_is_odd + np.uint32(0x7FFF)
    halves = np.asarray(bits >> np.uint32(_HALF)).astype(np.uint16)
    return np.where(np.isnan(array), _QUIET_NAN, halves)


def _round_to_odd(
    bits: npt.NDArray[np.uint32], single: npt.NDArray[np.float32], exact: Array
) -> None:
    """Make `bits` the float32 of `exact` towards zero, its last bit set where that was inexact.

    So rounded, a float32 has the bits that a second rounding to fewer bits needs to be right
    (Boldo and Melquiond, 2008, "Emulation of FMA and correctly rounded sums").
    """
    bits -= (np.abs(single) > np.abs(exact)).astype(np.uint32)
    with np.errstate(invalid="ignore"):
        bits |= (bits.view(np.float32) != exact).astype(np.uint32)


@dataclass(frozen=True, eq=False, repr=False)
class Weights:
    """All tensors of a model by the names that its files give them, none read yet.

    `form` names the format. Formats that need no config.json beside them say its fields in
    `config`, by Hugging Face's names, and some hold a `tokenizer`; else these are None. `doubts`
    are fields that the file leaves open and whose usual value may be wrong, and a warning for each.
    """

    form: str
    files: tuple[Path, ...]
    tensors: dict[str, Stored]
    config: Mapping[str, Any] | None = None
    tokenizer: Tokenizer | None = None
    doubts: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Weights({self.form!r}, {len(self.files)} files, {len(self.tensors)} tensors)"


def same_bits(one: Stored, other: Stored) -> bool:
    """Whether two tensors have the same bits."""
    if one is other:
        return True
    unsigned = f"u{one.dtype.itemsize}"  # as numbers, NaN would differ from itself
    return (
        one.dtype is other.dtype
        and one.data.shape == other.data.shape
        and all(
            np.array_equal(row.view(unsigned), twin.view(unsigned))
            for row, twin in zip(np.atleast_1d(one.data), np.atleast_1d(other.data), strict=True)
        )
    )
