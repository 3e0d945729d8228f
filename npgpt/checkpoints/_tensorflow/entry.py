"""Entries of a TensorFlow bundle's index: the dtype, shape and place of each tensor.

Source: TensorFlow's tensorflow/core/protobuf/tensor_bundle.proto, and tensor_shape.proto,
types.proto and versions.proto in tensorflow/core/framework.
"""

from dataclasses import dataclass
from math import prod

from npgpt.checkpoints._tensorflow.protobuf import (
    BYTES,
    FIXED32,
    VARINT,
    Field,
    parse_message,
    to_signed,
)
from npgpt.checkpoints._tensors import BY_NAME, DType, check_shape
from npgpt.errors import CheckpointError

_NUMBERED = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    19: "float16",
}
_DTYPES = {number: BY_NAME[name] for number, name in _NUMBERED.items()}
_TEXT = 7
_LITTLE = 0
_VERSION = 1  # of the format
_MAX_SHARDS = 99_999  # what their names have digits for
_LONGEST = 4_096  # bytes: an entry has 50, for each dimension 4 to 14 of them

_HEADER = {
    1: Field("num_shards", VARINT),
    2: Field("endianness", VARINT),
    3: Field("version", BYTES),
}
_VERSIONS = {
    1: Field("producer", VARINT),
    2: Field("min_consumer", VARINT),
    3: Field("bad_consumers", BYTES),
}
_ENTRY = {
    1: Field("dtype", VARINT),
    2: Field("shape", BYTES),
    3: Field("shard_id", VARINT),
    4: Field("offset", VARINT),
    5: Field("size", VARINT),
    6: Field("crc32c", FIXED32),
    7: Field("slices", BYTES, repeated=True),
}
_SHAPE = {2: Field("dim", BYTES, repeated=True), 3: Field("unknown_rank", VARINT)}
_DIM = {1: Field("size", VARINT), 2: Field("name", BYTES)}


@dataclass(frozen=True)
class Entry:
    """A tensor: `size` bytes of a shard from `begin` on, and their masked CRC-32C."""

    dtype: DType
    shape: tuple[int, ...]
    shard: int
    begin: int
    size: int
    crc: int


def parse_header(data: bytes, where: str) -> int:
    """How many shards the header announces.

    Raises CheckpointError, starting with `where`, for numbers in big-endian order, none or more
    than 99,999 shards, and another version of the format.

    >>> parse_header(bytes([8, 1]), "an example")
    1
    """
    fields = parse_message(data, _HEADER, where)
    version = parse_message(fields.part("version"), _VERSIONS, f"{where}: version")
    if fields.number("endianness") != _LITTLE:
        raise CheckpointError(
            f"{where}: its numbers are big-endian; save it again on an ordinary machine"
        )
    least = version.number("min_consumer")
    if least > _VERSION or version.part("bad_consumers"):
        raise CheckpointError(
            f"{where}: a version of the format that not every reader knows (least {least}); "
            f"npgpt knows version {_VERSION}"
        )
    shards = fields.number("num_shards")
    if not 0 < shards <= _MAX_SHARDS:
        raise CheckpointError(f"{where}: {shards} files of data; expected 1 to {_MAX_SHARDS}")
    return shards


def parse_entry(data: bytes, shards: int, where: str) -> Entry:
    """What an entry says. It is known that the shape's numbers take `size` bytes.

    Raises CheckpointError, starting with `where`, for a tensor that is not one whole array of
    numbers of known shape, in one of so many shards.

    >>> parse_entry(bytes([8, 1, 18, 4, 18, 2, 8, 3, 40, 12]), 1, "an example").shape
    (3,)
    """
    if len(data) > _LONGEST:
        raise CheckpointError(
            f"{where}: an entry of {len(data)} bytes; npgpt reads at most {_LONGEST}"
        )
    fields = parse_message(data, _ENTRY, where)
    if "slices" in fields.parts:
        raise CheckpointError(
            f"{where}: saved in slices, as partitioned variables are; save it as one variable"
        )
    dtype, shard, size = (fields.number(name) for name in ("dtype", "shard_id", "size"))
    if dtype not in _DTYPES:
        named = "holds texts" if dtype == _TEXT else f"has dtype {dtype}"
        raise CheckpointError(
            f"{where}: {named}; npgpt reads float16 to float64 and integers: save only the "
            "model's variables, with tf.compat.v1.train.Saver"
        )
    form = _DTYPES[dtype]
    shape = _shape(fields.part("shape"), form, where)
    if prod(shape) * form.itemsize != size:
        raise CheckpointError(
            f"{where}: {form.name} of shape {shape} takes {prod(shape) * form.itemsize} bytes, "
            f"but its entry says {size}"
        )
    if shard >= shards:
        raise CheckpointError(f"{where}: in file {shard} of data, counted from 0, of {shards}")
    return Entry(form, shape, shard, fields.number("offset"), size, fields.number("crc32c"))


def _shape(data: bytes, dtype: DType, where: str) -> tuple[int, ...]:
    fields = parse_message(data, _SHAPE, f"{where}: shape")
    if fields.number("unknown_rank"):
        raise CheckpointError(f"{where}: of unknown rank; save the model again")
    sizes = (
        parse_message(dim, _DIM, f"{where}: shape").number("size")
        for dim in fields.parts.get("dim", [])
    )
    return check_shape([to_signed(size) for size in sizes], dtype, where)
