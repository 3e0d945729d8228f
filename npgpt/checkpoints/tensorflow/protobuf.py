"""Protocol buffers, as far as TensorFlow's index files need them.

A message is any number of fields, each a tag and a value. The tag is a varint: 8 times the
field's number, plus how the value is written:

    0    a varint
    2    a varint of length, then so many bytes: a text, or a message inside this one
    5    4 bytes, little-endian

Source: https://protobuf.dev/programming-guides/encoding. Where the official parsers are lenient
(they skip a field they do not know, and take the last of several where one is expected) this one
refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from npgpt.checkpoints.tensorflow import varint
from npgpt.errors import CheckpointError

VARINT, BYTES, FIXED32 = 0, 2, 5


@dataclass(frozen=True)
class Field:
    """What is known of one field: its name, how it is written, and whether it may come again."""

    name: str
    kind: int
    repeated: bool = False


@dataclass(frozen=True)
class Message:
    """The values of a message by the fields' names, in the message's order."""

    numbers: Mapping[str, list[int]]
    parts: Mapping[str, list[bytes]]

    def number(self, name: str) -> int:
        """The value of a field that is written once or, as 0, not at all."""
        return self.numbers.get(name, [0])[0]

    def part(self, name: str) -> bytes:
        """The bytes of a field that is written once or, if they are none, not at all."""
        return self.parts.get(name, [b""])[0]


def parse(data: bytes, known: Mapping[int, Field], where: str) -> Message:
    """The message that the data are.

    Raises CheckpointError, starting with `where`, for a field that is not known, not written as
    it should be or given twice, and for what goes past the end of the data.

    >>> parse(bytes([8, 3]), {1: Field("size", VARINT)}, "an example").number("size")
    3
    """
    numbers: dict[str, list[int]] = {}
    parts: dict[str, list[bytes]] = {}
    at, end = 0, len(data)
    while at < end:
        tag, at = varint.read(data, at, end, where)
        field = known.get(tag >> 3)
        if field is None:
            raise CheckpointError(f"{where}: field {tag >> 3}, which npgpt does not know")
        name, kind = field.name, field.kind
        if tag & 7 != kind:
            raise CheckpointError(
                f"{where}: field {name} is written as kind {tag & 7}; expected {kind}"
            )
        if not field.repeated and (name in numbers or name in parts):
            raise CheckpointError(f"{where}: field {name} is given twice")
        size = 4
        if kind != FIXED32:
            size, at = varint.read(data, at, end, where)
        if kind == VARINT:
            numbers.setdefault(name, []).append(size)
            continue
        if size > end - at:
            raise CheckpointError(
                f"{where}: field {name} takes {size} bytes, but only {end - at} are left"
            )
        value = data[at : at + size]
        at += size
        if kind == FIXED32:
            numbers.setdefault(name, []).append(int.from_bytes(value, "little"))
        else:
            parts.setdefault(name, []).append(value)
    return Message(numbers, parts)
