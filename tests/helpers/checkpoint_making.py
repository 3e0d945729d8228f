"""Checkpoint files made by hand, good and bad, for the tests of npgpt.checkpoints."""

import io
import json
import mmap
import struct
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from npgpt._config import Config
from npgpt.model._parameters import Parameters, from_arrays, shapes

TINY = Config(vocab_size=7, n_positions=5, n_embd=4, n_head=2, n_layer=2)
UNTIED = Config(
    vocab_size=7, n_positions=5, n_embd=4, n_head=2, n_layer=2, tie_word_embeddings=False
)


def random_arrays(config: Config, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    """Weights for a config, the same at each call."""
    rng = np.random.default_rng(20)
    return {
        name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes(config).items()
    }


def random_parameters(config: Config, dtype: Any = np.float32) -> Parameters:
    return from_arrays(random_arrays(config, dtype), config)


def is_mapped(array: Any) -> bool:
    """Whether an array is a view of a mapped file."""
    while hasattr(array, "base"):
        array = array.base
    return isinstance(getattr(array, "obj", None), mmap.mmap)


def safetensors_bytes(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A safetensors file; `header` may be text already, and `length` a lie."""
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    announced = len(header) if length is None else length
    return struct.pack("<Q", announced) + header + data


def tensor_entry(
    *, dtype: Any = "F32", shape: Any = (1,), data_offsets: Any = (0, 4)
) -> dict[str, Any]:
    """A header's entry for a tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": data_offsets}


def zip_bytes(records: Mapping[str, bytes] | list[tuple[str, bytes]], **options: Any) -> bytes:
    """A zip archive of the records, uncompressed unless `options` of zipfile.ZipFile say so."""
    file = io.BytesIO()
    pairs = records.items() if isinstance(records, Mapping) else records
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", **options) as archive:
        warnings.simplefilter("ignore")  # that names are given twice, where they are
        for name, data in pairs:
            archive.writestr(name, data)
    return file.getvalue()


def torch_bytes(pickle: bytes, records: Mapping[str, bytes] | None = None) -> bytes:
    """What torch.save writes, of a pickle and of the records of its storages."""
    storages = {"data/0": bytes(8)} if records is None else records
    return zip_bytes(
        {f"it/{n}": data for n, data in {"data.pkl": pickle, "version": b"3\n", **storages}.items()}
    )


# The opcodes of pickles, protocol 2: each function gives bytes that push one value.

FALSE, TRUE, NONE, NO_TUPLE = b"\x89", b"\x88", b"N", b")"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def integers(values: Iterable[int]) -> bytes:
    return group(*map(integer, values))


def group(*items: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(items) + b"t"


def named(module: str, name: str) -> bytes:
    """A function or class."""
    return f"c{module}\n{name}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + group(*arguments) + b"R"


def mapping(items: Mapping[str, bytes], *, empty: bytes = b"}") -> bytes:
    return empty + b"(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


ORDERED_DICT = call(named("collections", "OrderedDict"))
REBUILD_TENSOR = named("torch._utils", "_rebuild_tensor_v2")
REBUILD_PARAMETER = named("torch._utils", "_rebuild_parameter")
FLOATS = named("torch", "FloatStorage")


def storage(form: bytes = FLOATS, *, key: str = "0", count: bytes = integer(2)) -> bytes:
    return group(text("storage"), form, text(key), text("cpu"), count) + b"Q"


def tensor(
    where: bytes = storage(),
    *,
    offset: bytes = integer(0),
    shape: bytes = integers([2]),
    strides: bytes = integers([1]),
    hooks: bytes = ORDERED_DICT,
) -> bytes:
    return call(REBUILD_TENSOR, where, offset, shape, strides, FALSE, hooks)


def pickled(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def state(**tensors: bytes) -> bytes:
    """The pickle of a state dict."""
    return pickled(mapping(tensors))
