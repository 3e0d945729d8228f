"""Frames: plain Python data and arrays as bytes, of which nothing is ever executed.

How the judge and the process of a Python subject speak. A frame is two lengths of 8 bytes each,
little-endian, a JSON text of the first length, and arrays of the second: each NumPy's .npy, whose
object arrays, which would be pickles, are refused. What JSON has not is an object of one key that
begins with "$": {"$tuple": [1, 2]}, {"$array": [offset, length]}.
"""

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from oracle.adapters.answers import flat, one_line
from oracle.bounds._rounding import Array

LENGTH = 8  # bytes of each of the two lengths
PREFIX = 2 * LENGTH
# Of what a subject may send at once: 1,024 rows of 50,257 logits in float64 are 393 MiB.
LARGEST = 2**30
ALIGNED = 64  # bytes, of which the place of an array is a multiple, so that it is used where it is
SMALL = 2**16  # bytes of an array that is quicker copied than written by itself
KINDS = "biufc"  # of NumPy: bool, integers, floats, complex


def read(stream: IO[bytes], largest: float = LARGEST) -> bytes | bytearray:
    """The next frame; b"" at the end, and where it breaks off.

    One that is larger than `largest` is not read: what is returned then is its lengths, which
    `loads` refuses.
    """
    prefix = stream.read(PREFIX)
    if len(prefix) < PREFIX:
        return b""
    size = sum(_lengths(prefix))
    if size > largest:
        return prefix
    frame = bytearray(PREFIX + size)
    frame[:PREFIX] = prefix
    rest = memoryview(frame)[PREFIX:]
    while rest:
        count = stream.readinto(rest)  # type: ignore[attr-defined]  # pipes have it
        if not count:
            return b""
        rest = rest[count:]
    return frame


def dumps(message: Any) -> list[bytes | memoryview]:
    """A message as the pieces of a frame, to be written one after another.

    Raises TypeError for what is neither plain nor an array of numbers. Large arrays are not copied.

    >>> loads(b"".join(dumps({"step": (1, np.ones(2)), "bias": {(3,): -np.inf}})))
    {'step': (1, array([1., 1.])), 'bias': {(3,): -inf}}
    """
    arrays = _Arrays()
    text = json.dumps(_coded(message, arrays)).encode()
    text += b" " * (-(PREFIX + len(text)) % ALIGNED)
    lengths = b"".join(n.to_bytes(LENGTH, "little") for n in (len(text), arrays.size))
    return [lengths + text, *arrays.pieces]


def loads(frame: bytes | bytearray) -> Any:
    """The message in a frame. Raises ValueError or RecursionError where it is none.

    Its arrays are views of the frame.

    >>> loads((2**40).to_bytes(8, "little") + bytes(8))
    Traceback (most recent call last):
    ...
    ValueError: a message of 1099511627776 bytes; the most is 1073741824
    """
    text, arrays = _lengths(frame)
    if len(frame) != PREFIX + text + arrays:
        raise ValueError(f"a message of {text + arrays} bytes; the most is {LARGEST}")
    behind = memoryview(frame)[PREFIX + text :]
    tags: dict[str, Callable[[Any], Any]] = {
        "$array": lambda place: _array(behind, *place),
        "$scalar": lambda place: _array(behind, *place)[()],
        "$tuple": tuple,
        "$tuples": lambda rows: list(map(tuple, rows)),
        "$set": set,
        "$dict": dict,
    }

    def untagged(value: dict[str, Any]) -> Any:
        if len(value) != 1:
            return value
        ((tag, coded),) = value.items()
        return tags[tag](coded) if tag.startswith("$") else value

    try:
        return json.loads(bytes(frame[PREFIX : PREFIX + text]), object_hook=untagged)
    except (TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"no message: {type(error).__name__}: {one_line(error)}") from error


class _Arrays:
    """The arrays of a frame, as they are found."""

    def __init__(self) -> None:
        self.pieces: list[bytes | memoryview] = []
        self.size = 0

    def add(self, array: Array) -> list[int]:
        """Where it will stand: its offset, and its length."""
        if array.dtype.kind not in KINDS:
            raise TypeError(f"an array of {array.dtype}; only numbers are sent")
        header = _header(array.dtype, array.shape)
        place, length = self.size, len(header) + array.nbytes
        fill = bytes(-length % ALIGNED)
        if array.nbytes <= SMALL:
            self.pieces.append(header + array.tobytes() + fill)
        else:
            numbers = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            self.pieces += [header, numbers, fill]
        self.size += length + len(fill)
        return [place, length]


@functools.lru_cache(4096)
def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    stream = BytesIO()
    described = npy.dtype_to_descr(dtype)
    npy.write_array_header_1_0(stream, {"descr": described, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _array(behind: memoryview, offset: Any, length: Any) -> Array:
    """The array at this place, which has to be there, whole, and of numbers."""
    if not (type(offset) is type(length) is int and 0 <= offset <= offset + length <= len(behind)):
        raise ValueError(f"an array at {offset!r} of {length!r} bytes; there are {len(behind)}")
    content = behind[offset : offset + length]
    start = npy.MAGIC_LEN + 2 + int.from_bytes(content[npy.MAGIC_LEN : npy.MAGIC_LEN + 2], "little")
    dtype, shape, backwards = _described(bytes(content[:start]))
    numbers = content[start:]
    if len(numbers) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of {len(numbers)} bytes; {shape} of {dtype} are others")
    flat_array = np.frombuffer(numbers, dtype)
    return flat_array.reshape(shape[::-1]).T if backwards else flat_array.reshape(shape)


@functools.lru_cache(4096)
def _described(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """What a .npy's header says: dtype, shape, and whether it is in Fortran's order."""
    stream = BytesIO(header)
    try:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError("a version that is not 1.0")
        shape, backwards, dtype = npy.read_array_header_1_0(stream)
    except Exception as error:  # whatever NumPy makes of such bytes
        raise ValueError(f"no array: {one_line(error)}") from error
    if dtype.kind not in KINDS or dtype.hasobject:
        raise ValueError(f"an array of {one_line(dtype)}; only numbers are read")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"an array of shape {one_line(shape)}")
    return dtype, shape, backwards


def _lengths(prefix: bytes | bytearray) -> tuple[int, int]:
    return (
        int.from_bytes(prefix[:LENGTH], "little"),
        int.from_bytes(prefix[LENGTH:PREFIX], "little"),
    )


def _coded(value: Any, arrays: _Arrays) -> Any:
    """The value in what JSON has."""
    if isinstance(value, np.ndarray):
        return {"$array": arrays.add(value)}
    if isinstance(value, np.generic):
        return {"$scalar": arrays.add(np.asarray(value))}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        named = all(type(key) is str for key in value)
        if named and not (len(value) == 1 and next(iter(value)).startswith("$")):
            return value if flat(value) else {k: _coded(v, arrays) for k, v in value.items()}
        return {"$dict": [[_coded(k, arrays), _coded(v, arrays)] for k, v in value.items()]}
    if isinstance(value, (set, frozenset)):
        return {"$set": [_coded(element, arrays) for element in value]}
    if flat(value):
        return {"$tuples": value} if value and isinstance(value[0], tuple) else value
    if isinstance(value, (list, tuple)):
        elements = _coded_all(value, arrays)
        return {"$tuple": elements} if isinstance(value, tuple) else elements
    raise TypeError(f"{type(value).__name__} is neither plain nor an array of numbers")


def _coded_all(values: Sequence[Any], arrays: _Arrays) -> list[Any]:
    return [_coded(value, arrays) for value in values]
