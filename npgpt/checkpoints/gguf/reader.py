"""The GGUF format, of llama.cpp: metadata and tensors in one file, for a GPT-2.

    "GGUF", 4 bytes of version, 8 bytes of the number of tensors, 8 of that of metadata keys
    the metadata (see `values`)
    of each tensor: its name, a text; 4 bytes of rank; 8 bytes of each size, the fastest first;
        4 bytes that name its type; 8 bytes of its offset from the start of the data
    the data, from the next multiple of general.alignment on: the tensors, little-endian, each
        starting at such a multiple, and filled up to one

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. As llama.cpp does, this reader
refuses data with gaps; and besides, data with more behind it than fills up the last tensor.
"""

import mmap
from math import prod
from pathlib import Path

import numpy as np

from npgpt.checkpoints.contents import Weights
from npgpt.checkpoints.dtypes import FLOAT32, Stored
from npgpt.checkpoints.files import map_file
from npgpt.checkpoints.gguf import fields
from npgpt.checkpoints.gguf.dequantize import q8_0
from npgpt.checkpoints.gguf.layout import (
    Place,
    check_cover,
    counts,
    data_alignment,
    tensor_places,
    up,
)
from npgpt.checkpoints.gguf.tokens import tokenizer
from npgpt.checkpoints.gguf.values import Cursor, read_metadata
from npgpt.tokenizer.disk import reading

FORM = "GGUF"


def read(path: Path, *, check_sums: bool = True) -> Weights:
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
    tensors, keys = counts(cursor)
    values = read_metadata(cursor, keys)
    fields.check_architecture(values, str(path))
    places = tensor_places(cursor, tensors)
    alignment = data_alignment(values, cursor)
    start = up(cursor.place, alignment)
    check_cover(places, len(data) - start, alignment, cursor)
    config = fields.config(values, {name: p.shape for name, p in places.items()}, str(path))
    with reading(path):
        found = tokenizer(values)
    stored = {
        name: _stored(data, place, start + place.offset, path) for name, place in places.items()
    }
    return Weights(FORM, (path,), stored, config, found)


def _stored(data: mmap.mmap, place: Place, start: int, path: Path) -> Stored:
    if place.dtype is None:
        raw = np.frombuffer(data, np.uint8, place.nbytes, start)
        return Stored(FLOAT32, q8_0(raw).reshape(place.shape), path)
    numbers = np.frombuffer(data, place.dtype.bits, prod(place.shape), start)
    return Stored(place.dtype, numbers.reshape(place.shape), path)
