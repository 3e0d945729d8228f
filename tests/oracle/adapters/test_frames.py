"""Plain data and arrays as bytes: what goes in comes out, and nothing else is read."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oracle.adapters._frames import dumps, loads, read

NUMBERS = st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.bool_, np.uint8])
ARRAYS = NUMBERS.flatmap(lambda kind: arrays(kind, st.sampled_from([(), (0,), (3,), (2, 0, 1)])))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.sampled_from(["$array", "$dict", "$"]) | st.tuples(st.integers())
VALUES = st.recursive(
    PLAIN | ARRAYS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=2)
    ),
    max_leaves=8,
)


def alike(one, other):
    if isinstance(one, np.ndarray):
        same = (one.dtype, one.shape) == (other.dtype, other.shape)
        return same and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        pairs = zip(one, other, strict=True)
        return type(one) is type(other) and all(alike(a, b) for a, b in pairs)
    return type(one) is type(other) and one == other


@given(VALUES)
def test_what_goes_in_comes_out(value):
    stream = io.BytesIO(b"".join(dumps(value)) + b"more")
    assert alike(value, loads(read(stream)))
    assert stream.read() == b"more"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_value_error(content):
    frame = read(io.BytesIO(content))
    with contextlib.suppress(ValueError, RecursionError):
        loads(frame)


@given(st.data())
def test_a_frame_that_is_changed_is_a_message_or_a_value_error(data):
    frame = bytearray(b"".join(dumps({"answer": np.ones((2, 3), np.float32), "n": (1, 2)})))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError, RecursionError):
        loads(frame)


def test_what_breaks_off_is_the_end():
    whole = b"".join(dumps({"answer": np.ones(5)}))
    assert all(read(io.BytesIO(whole[:cut])) == b"" for cut in range(len(whole)))


def test_arrays_may_be_written_to():
    array = loads(read(io.BytesIO(b"".join(dumps(np.zeros((2, 2)))))))
    array[0] = 1
    assert array.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize("value", [np.array([None]), np.array(["a"]), object(), [len]])
def test_nothing_but_numbers_and_plain_data_is_sent(value):
    with pytest.raises(TypeError):
        dumps(value)


@pytest.mark.parametrize("size", [2, 300])  # to either side of SMALL
def test_any_order_in_memory(size):
    array = np.arange(size * size, dtype=np.float64).reshape(size, size)
    for turned in (array, array.T, array[::-1, ::2], np.asfortranarray(array)):
        assert np.array_equal(loads(b"".join(dumps(turned))), turned)
