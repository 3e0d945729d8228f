"""Random weights on disk, as Hugging Face's folders are."""

import json
import math
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oracle.bench._sizes import Size, config, shapes

STD = 0.02  # GPT-2's initialisation
_CODES = {"float32": "F32", "float16": "F16"}


def checkpoint(cache: Path, size: Size, dtype: str) -> Path:
    """The folder with the random weights of that size, made where it is not there yet."""
    folder = cache / f"{size.name}-{dtype}"
    if not folder.is_dir():
        print(f"making random weights: {folder}", file=sys.stderr)
        cache.mkdir(parents=True, exist_ok=True)
        # Renamed in one step, so that one that was interrupted is never taken for a whole one.
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            draft = Path(scratch) / "draft"
            draft.mkdir()
            fields = config(size) | {"torch_dtype": dtype}
            (draft / "config.json").write_text(json.dumps(fields, indent=2), encoding="utf-8")
            _write(draft / "model.safetensors", shapes(size), dtype)
            draft.replace(folder)
    return folder


def _write(path: Path, tensors: Mapping[str, tuple[int, ...]], dtype: str) -> None:
    """A safetensors file, tensor by tensor, since all of them may not fit into memory."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors.items():
        begin, end = end, end + math.prod(shape) * np.dtype(dtype).itemsize
        entries[name] = {"dtype": _CODES[dtype], "shape": shape, "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-(8 + len(header)) % 64)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for values in _random(tensors):
            file.write(values.astype(dtype).tobytes())


def _random(tensors: Mapping[str, tuple[int, ...]]) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for name, shape in tensors.items():
        if name.endswith("bias"):
            yield np.zeros(shape, np.float32)
        elif len(shape) == 1:
            yield np.ones(shape, np.float32)
        else:
            yield np.float32(STD) * rng.standard_normal(shape, np.float32)
