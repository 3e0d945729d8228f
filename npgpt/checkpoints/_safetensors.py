"""The safetensors format: a JSON header, then the tensors' bytes.

    8 bytes      length of the header, little-endian
    header       {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}, then
                 any number of spaces; the field "__metadata__" holds texts instead
    the rest     the tensors, in C order, little-endian; together they cover it exactly once

Source: https://github.com/huggingface/safetensors#format. Where the official reader is lenient
(a field given twice, unknown fields, headers of 1 to 100 MB) this one refuses.
"""

import json
import mmap
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._quoting import kind, quoted
from npgpt.checkpoints._files import JSON_LIMIT, map_file, parse_json_object, replacing
from npgpt.checkpoints._tensors import BY_NAME, DTYPES, DType, Stored, check_shape, from_floats
from npgpt.errors import CheckpointError

_LENGTH_BYTES = 8
_ALIGNMENT = 64  # the data starts at a multiple of this, so that mapped tensors are aligned
_METADATA = "__metadata__"
_FIELDS = ("dtype", "shape", "data_offsets")
_BY_CODE = {dtype.safetensors: dtype for dtype in DTYPES}


def read_safetensors(path: Path) -> dict[str, Stored]:
    """Every tensor by its name, in the file's order, as a read-only view of the mapped file.

    Raises CheckpointError, naming the file and the place, for anything the format forbids.
    """
    data = map_file(path)
    if len(data) < _LENGTH_BYTES:
        raise CheckpointError(
            f"{path}: {len(data)} bytes; safetensors start with 8 bytes of length"
        )
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    if length > JSON_LIMIT:
        raise CheckpointError(
            f"{path}: announces a header of {length} bytes; npgpt reads at most "
            f"{JSON_LIMIT}, so this is no safetensors file of a GPT-2"
        )
    if start > len(data):
        raise CheckpointError(
            f"{path}: announces a header of {length} bytes but is {len(data)} long; it is cut short"
        )
    entries = _header(data[_LENGTH_BYTES:start], f"{path}: header")
    places = {
        name: _place(entry, f"{path}: tensor {quoted(name)}") for name, entry in entries.items()
    }
    _check_cover(places, len(data) - start, path)
    return {
        name: Stored(dtype, _view(data, dtype, shape, start + begin), path)
        for name, (dtype, shape, begin, _) in places.items()
    }


def _header(text: bytes, where: str) -> dict[str, Any]:
    # The parser skips any white space; the format allows only spaces, and only at the end.
    if not (text.startswith(b"{") and text.rstrip(b" ").endswith(b"}")):
        raise CheckpointError(f"{where}: not one JSON object from its first byte to its last")
    entries = parse_json_object(text, where)
    metadata = entries.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"{where}: {_METADATA} is not an object of texts")
    return entries


_Place = tuple[DType, tuple[int, ...], int, int]  # dtype, shape, first byte, byte after the last


def _place(entry: object, where: str) -> _Place:
    if not isinstance(entry, dict) or sorted(entry) != sorted(_FIELDS):
        raise CheckpointError(f"{where}: expected an object of just {', '.join(_FIELDS)}")
    code, shape, offsets = (entry[field] for field in _FIELDS)
    dtype = _BY_CODE.get(code) if isinstance(code, str) else None
    if dtype is None:
        raise CheckpointError(f"{where}: dtype is {kind(code)}; npgpt reads {', '.join(_BY_CODE)}")
    if not isinstance(shape, list):
        raise CheckpointError(f"{where}: shape is {kind(shape)}; expected a list of whole numbers")
    sizes = check_shape(shape, dtype, where)
    if not isinstance(offsets, list) or [type(offset) for offset in offsets] != [int, int]:
        raise CheckpointError(f"{where}: data_offsets are not two whole numbers")
    begin, end = offsets
    if end - begin != prod(sizes) * dtype.itemsize:
        raise CheckpointError(
            f"{where}: {dtype.safetensors} of shape {sizes} takes "
            f"{prod(sizes) * dtype.itemsize} bytes, but its offsets are {begin} to {end}"
        )
    return dtype, sizes, begin, end


def _check_cover(places: Mapping[str, _Place], size: int, path: Path) -> None:
    """Every byte of the data belongs to exactly one tensor."""
    reached = 0
    for name, (_, _, begin, end) in sorted(places.items(), key=lambda item: item[1][2:]):
        if begin != reached:
            fault = "overlaps the tensor before it" if begin < reached else "leaves a hole before"
            raise CheckpointError(
                f"{path}: tensor {quoted(name)}: {fault}: starts at {begin}, expected {reached}"
            )
        reached = end
    if reached != size:
        fault = "the file is cut short" if reached > size else "something was added at the end"
        raise CheckpointError(
            f"{path}: holds {size} bytes of tensors but its header names {reached}; {fault}"
        )


def _view(data: mmap.mmap, dtype: DType, shape: tuple[int, ...], start: int) -> npt.NDArray[Any]:
    if not prod(shape):
        return np.empty(shape, dtype.bits)  # frombuffer refuses an empty stretch
    return np.frombuffer(data, dtype.bits, prod(shape), start).reshape(shape)


def write_safetensors(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], *, dtype: str | None = None
) -> None:
    """Write the arrays, rounded to `dtype` (a name such as "bfloat16"), or without it as they are.

    The file appears in one step, or not at all. Its metadata say `{"format": "pt"}`, without
    which transformers refuses it. Raises CheckpointError for a dtype that the format or npgpt
    lacks, a value that does not fit it, and a file that cannot be written.
    """
    forms = {name: _form(array, dtype, quoted(name)) for name, array in arrays.items()}
    header, _ = plan_safetensors(
        {name: (forms[name], array.shape) for name, array in arrays.items()}
    )
    with replacing(path) as file:
        file.write(header)
        for name, array in arrays.items():
            bits = array if dtype is None else from_floats(array, forms[name], quoted(name))
            file.write(np.require(bits, forms[name].bits, "C").data)


def plan_safetensors(
    tensors: Mapping[str, tuple[DType, tuple[int, ...]]],
) -> tuple[bytes, dict[str, int]]:
    """What a file of such tensors begins with, and the byte at which each tensor then starts.

    For tensors that are written one by one, as they come to be. Raises CheckpointError for a name
    that the format lacks.

    >>> tensors = {"a": (BY_NAME["float32"], (2, 3)), "b": (BY_NAME["int8"], (5,))}
    >>> begin, starts = plan_safetensors(tensors)
    >>> len(begin), starts
    (192, {'a': 192, 'b': 216})
    """
    if _METADATA in tensors:
        raise CheckpointError(f"no tensor can be named {_METADATA!r}; rename it")
    entries: dict[str, Any] = {_METADATA: {"format": "pt"}}
    end = 0
    for name, (form, shape) in tensors.items():
        begin, end = end, end + prod(shape) * form.itemsize
        entries[name] = {
            "dtype": form.safetensors, "shape": list(shape), "data_offsets": [begin, end],
        }  # fmt: skip
    header = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-(_LENGTH_BYTES + len(header)) % _ALIGNMENT)
    before = len(header).to_bytes(_LENGTH_BYTES, "little") + header
    offsets = {name: entries[name]["data_offsets"][0] for name in tensors}
    return before, {name: len(before) + offset for name, offset in offsets.items()}


def _form(array: npt.NDArray[Any], dtype: str | None, where: str) -> DType:
    form = BY_NAME.get(dtype or array.dtype.name)
    if form is None or (dtype and (not form.holds_weights or array.dtype.kind != "f")):
        raise CheckpointError(
            f"{where} is {array.dtype.name} and cannot be written as {dtype or array.dtype.name}; "
            "give float64, float32, float16 or bfloat16"
        )
    return form
