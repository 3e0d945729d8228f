import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._tensorflow.protobuf import read_varint, to_signed
from npgpt.errors import CheckpointError
from tests.helpers.tensorflow_making import varint as written

EDGES = st.sampled_from([2**k + d for k in range(7, 64, 7) for d in (-1, 0)] + [0, 2**64 - 1])


@given(st.integers(0, 2**64 - 1) | EDGES, st.binary(max_size=3), st.binary(max_size=3))
def test_what_is_written_is_read(value, before, after):
    data = before + written(value) + after
    end = len(data) - len(after)
    assert read_varint(data, len(before), end, "here") == (value, end)


@given(st.integers(128, 2**64 - 1) | EDGES.filter(lambda value: value > 127))
def test_cut_short(value):
    data = written(value)
    for end in range(len(data)):
        with pytest.raises(CheckpointError, match=r"^here: the number at byte 0 is cut short$"):
            read_varint(data, 0, end, "here")


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 9 + b"\x02", b"\xff" * 10, b"\xff" * 1000, b"\x80" * 10 + b"\x00"],
    ids=["2^64 and more", "ten bytes and no end", "a thousand bytes", "eleven bytes of 0"],
)
def test_too_long(data):
    with pytest.raises(CheckpointError, match=r"^here: the number at byte 0 is over 64 bits"):
        read_varint(data, 0, len(data), "here")


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed(value):
    assert to_signed(value % 2**64) == value
