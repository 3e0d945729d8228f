"""JSON lines with array files beside them: how a program in any language is spoken to."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors.numpy import save_file

from oracle.adapters.answers import one_line
from oracle.bounds._rounding import Array

LONGEST_LINE = 2**24  # bytes; what is longer belongs in a file
FILES_KEPT = 16  # of weights, and of tokenizers
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
DTYPES = {
    **{name: np.dtype(name).newbyteorder("<") for name in ("float64", "float32", "float16")},
    "bfloat16": np.dtype("<u2"),  # the upper half of a float32
}


def read_line(stream: IO[bytes]) -> bytes:
    """The next line, longer than LONGEST_LINE only where it is too long; b"" at the end."""
    return stream.readline(LONGEST_LINE + 1)


def dumps(message: Any) -> list[bytes]:
    """A message as a line."""
    return [json.dumps(plain(message), allow_nan=False).encode() + b"\n"]


def loads(line: bytes | bytearray) -> dict[str, Any]:
    """The message on a line; ValueError or RecursionError where it is none."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"a line of more than {LONGEST_LINE} bytes; put the numbers in a file")
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        shown = one_line(line[:60].decode(errors="replace"))
        raise ValueError(
            f"{shown!r}; expected a JSON object on one line (print the rest to stderr)"
        )
    return message


def plain(value: Any) -> Any:
    """For JSON: arrays as lists, masks as 0 and 1, what is not finite as a text.

    A dict whose keys are no texts becomes a list of [key, value].

    >>> plain({"mask": np.array([True, False]), "bias": {(1, 2): -np.inf}})
    {'mask': [1, 0], 'bias': [[[1, 2], '-inf']]}
    """
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "b":
            value = value.astype(np.int64)
        finite = value.dtype.kind != "f" or np.isfinite(value).all()
        return value.tolist() if finite else plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: plain(each) for key, each in value.items()}
        return [[plain(key), plain(each)] for key, each in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    return value


def numbers(values: Any, dtype: str) -> Array:
    """The array of nested lists; numbers with a fraction are rounded to `dtype`.

    "nan", "inf" and "-inf" may stand for numbers, and null for NaN, which is how JavaScript writes
    it. Raises ValueError where it is no array of numbers. bfloat16 and float16 come as float32.

    >>> numbers([[1.5, "-inf"]], "float32")
    array([[ 1.5, -inf]], dtype=float32)
    """
    found = np.array(values)
    if found.dtype.kind in "OU":
        found = np.array(_with_numbers(values), np.float64)
    if found.dtype.kind == "f":
        with np.errstate(over="ignore"):
            found = found.astype("float64" if dtype == "float64" else "float32")
    return found


def _with_numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_numbers(each) for each in value]
    if value is None:
        return math.nan
    if isinstance(value, str):
        if value.lower() not in NOT_FINITE:
            raise ValueError(f"{one_line(value)!r} for a number")
        return NOT_FINITE[value.lower()]
    return float(value)


def array_file(answer: Mapping[str, Any], default: str) -> Array:
    """The numbers in the file that an answer names: raw, little-endian, in C order.

    Raises ValueError where the answer does not fit the file, OSError where there is none.
    """
    dtype, shape = answer.get("dtype", default), answer.get("shape")
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r}; expected one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"shape {shape!r}; expected a list of lengths")
    path, size = Path(str(answer["file"])), math.prod(shape) * DTYPES[dtype].itemsize
    if not path.is_file() or path.stat().st_size != size:
        found = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
        raise ValueError(f"{found} at {path}; shape {shape} of {dtype} needs {size} bytes")
    raw = np.frombuffer(path.read_bytes(), DTYPES[dtype]).reshape(shape)
    if dtype == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(raw.dtype.newbyteorder("="))


class Shelf:
    """Files of weights and tokenizers in a folder, each written once; old ones are removed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[tuple[str, bytes], str] = {}
        self.count = 0

    def weights(self, weights: Mapping[str, Array]) -> str:
        """The safetensors file that holds these weights; other weights have another path."""
        arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
        digest = hashlib.blake2b()
        for name, array in arrays.items():
            digest.update(f"{name} {array.dtype} {array.shape} ".encode())
            digest.update(array.data if array.size else b"")
        return self._at("weights", ".safetensors", digest.digest(), lambda p: save_file(arrays, p))

    def tokenizer(self, vocabulary: Mapping[str, int], merges: Any) -> str:
        """The JSON file that holds this tokenizer."""
        text = json.dumps({"vocabulary": dict(vocabulary), "merges": list(merges)}).encode()
        key = hashlib.blake2b(text).digest()
        return self._at("tokenizer", ".json", key, lambda p: p.write_bytes(text))

    def _at(self, stem: str, suffix: str, digest: bytes, write: Any) -> str:
        found = self.kept.pop((stem, digest), None)
        if found is None:
            path = self.folder / f"{stem}-{self.count}{suffix}"
            write(path)
            self.count += 1
            found = str(path)
        self.kept[stem, digest] = found  # the last of the dict is the latest used
        if len(self.kept) > FILES_KEPT:
            Path(self.kept.pop(next(iter(self.kept)))).unlink(missing_ok=True)
        return found
