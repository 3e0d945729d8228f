import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._tensorflow.protobuf import BYTES, FIXED32, VARINT, Field, parse_message
from npgpt.errors import CheckpointError
from tests.helpers.tensorflow_making import number, part, varint

KNOWN = {
    1: Field("count", VARINT),
    2: Field("text", BYTES),
    3: Field("sum", FIXED32),
    20: Field("sizes", VARINT, repeated=True),
    21: Field("parts", BYTES, repeated=True),
}
wholes = st.integers(0, 2**64 - 1)


@given(wholes, st.binary(), st.integers(0, 2**32 - 1), st.lists(wholes), st.lists(st.binary()))
def test_what_is_written_is_read(count, text, check, sizes, parts):
    data = number(1, count) + part(2, text) + b"\x1d" + check.to_bytes(4, "little")
    data += b"".join(number(20, size) for size in sizes) + b"".join(part(21, p) for p in parts)
    message = parse_message(data, KNOWN, "here")
    assert (message.number("count"), message.part("text")) == (count, text)
    assert message.number("sum") == check
    assert message.numbers.get("sizes", []) == sizes
    assert message.parts.get("parts", []) == parts


def test_what_is_left_out():
    message = parse_message(b"", KNOWN, "here")
    assert (message.number("count"), message.part("text")) == (0, b"")


BAD = {
    "unknown field": (number(4, 1), "here: field 4, which npgpt does not know"),
    "field 0": (number(0, 1), "here: field 0, which npgpt does not know"),
    "number as text": (part(1, b""), "here: field count is written as kind 2; expected 0"),
    "text as number": (number(2, 1), "here: field text is written as kind 0; expected 2"),
    "start of a group": (varint(1 << 3 | 3), "field count is written as kind 3"),
    "a kind that is none": (varint(1 << 3 | 7), "field count is written as kind 7"),
    "eight bytes": (varint(3 << 3 | 1) + bytes(8), "field sum is written as kind 1; expected 5"),
    "number twice": (number(1, 1) * 2, "here: field count is given twice"),
    "number twice, first 0": (number(1, 0) + number(1, 1), "here: field count is given twice"),
    "text twice": (part(2, b"") * 2, "here: field text is given twice"),
    "four bytes cut": (b"\x1d123", "here: field sum takes 4 bytes, but only 3 are left"),
    "text cut": (part(2, b"abc")[:-1], "here: field text takes 3 bytes, but only 2 are left"),
    "endless text": (varint(18) + varint(2**64 - 1), "takes 18446744073709551615 bytes, but only"),
    "no value": (varint(8), "here: the number at byte 1 is cut short"),
    "tag cut": (b"\x80", "here: the number at byte 0 is cut short"),
    "tag too long": (b"\xff" * 11, "here: the number at byte 0 is over 64 bits long"),
    "value too long": (b"\x08" + b"\xff" * 11, "here: the number at byte 1 is over"),
}


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_messages(data, said):
    with pytest.raises(CheckpointError) as caught:
        parse_message(data, KNOWN, "here")
    assert said in str(caught.value)


@given(st.binary(max_size=40))
def test_any_bytes(data):
    try:
        message = parse_message(data, KNOWN, "here")
    except CheckpointError:
        return
    assert sum(map(len, message.parts.get("parts", []))) <= len(data)
