"""Protocol buffers, as far as TensorFlow's index files need them.

A message is any number of fields, each a tag and a value. The tag is a varint: 8 times the
field's number, plus how the value is written:

    0    a varint
    2    a varint of length, then so many bytes: a text, or a message inside this one
    5    4 bytes, little-endian

A varint, which the tables of these files have too, is a number in 1 to 10 bytes: 7 bits in a byte,
the lowest first; the top bit of a byte says that another follows.

Source: https://protobuf.dev/programming-guides/encoding. Where the official parsers are lenient
(they skip a field they do not know, and take the last of several where one is expected) this one
refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from npgpt.errors import CheckpointError

VARINT, BYTES, FIXED32 = 0, 2, 5
_MOST = 10  # bytes of a varint, for 64 bits
_WORD = 2**64


def read_varint(data: bytes, at: int, end: int, where: str) -> tuple[int, int]:
    """The number at byte `at` of the data, from 0 to 2^64-1, and the place after it.

    Raises CheckpointError, starting with `where`, for one that goes past `end` or 64 bits.

    >>> read_varint(bytes([0xAC, 0x02]), 0, 2, "an example")
    (300, 2)
    """
    if at < end and data[at] < 0x80:  # nine in ten
        return data[at], at + 1
    value = 0
    for i, byte in enumerate(data[at : min(at + _MOST, end)]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80 and value < _WORD:
            return value, at + i + 1
    if end - at < _MOST:
        raise CheckpointError(f"{where}: the number at byte {at} is cut short")
    raise CheckpointError(f"{where}: the number at byte {at} is over 64 bits long")


def to_signed(value: int) -> int:
    """The int64 whose bits are those of a number from 0 to 2^64-1.

    >>> to_signed(2**64 - 1)
    -1
    """
    return value - _WORD if value >= _WORD // 2 else value


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


def parse_message(data: bytes, known_fields: Mapping[int, Field], where: str) -> Message:
    """The message that the data are.

    Raises CheckpointError, starting with `where`, for a field that is not known, not written as
    it should be or given twice, and for what goes past the end of the data.

    >>> parse_message(bytes([8, 3]), {1: Field("size", VARINT)}, "an example").number("size")
    3
    """
    numbers: dict[str, list[int]] = {}
    parts: dict[str, list[bytes]] = {}
    at, end = 0, len(data)
    while at < end:
        tag, at = read_varint(data, at, end, where)
        field = known_fields.get(tag >> 3)
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
            size, at = read_varint(data, at, end, where)
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
