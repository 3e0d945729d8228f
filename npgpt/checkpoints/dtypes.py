"""The number formats of checkpoints, and tensors as they lie in a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt.arrays import Array
from npgpt.checkpoints import bfloat16
from npgpt.errors import CheckpointError
from npgpt.ops.half import widen
from npgpt.quoting import kind

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
NARROW = (FLOAT16, BFLOAT16)  # what `ops.half` widens
BY_NAME = {dtype.name: dtype for dtype in DTYPES}


@dataclass(frozen=True)
class Stored:
    """A tensor as it lies in a file: `data` is a view of the file, read only when looked at."""

    dtype: DType
    data: npt.NDArray[Any]
    file: Path


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
        floats = widen(as_stored(stored), dtype)
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
        bits: npt.NDArray[Any] = bfloat16.from_floats(array)
        rounded: npt.NDArray[Any] = bfloat16.to_float32(bits)
    else:
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            bits = rounded = np.asarray(array).astype(dtype.bits)
    if not np.array_equal(np.isfinite(array), np.isfinite(rounded)):
        largest = np.abs(array[np.isfinite(array)]).max()
        raise CheckpointError(
            f"{where}: {largest} does not fit {dtype.name}; save it as float32 or float64"
        )
    return bits
