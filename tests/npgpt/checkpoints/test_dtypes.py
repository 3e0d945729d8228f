import struct
from pathlib import Path

import numpy as np
import pytest

from npgpt.checkpoints._tensors import (
    BFLOAT16,
    DTYPES,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    MAX_RANK,
    Stored,
    check_shape,
    from_floats,
    to_floats,
)
from npgpt.errors import CheckpointError

FILE = Path("model.safetensors")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([1] * (MAX_RANK + 1), "33 dimensions; at most 32"),
        ([2, -1], "-1 in the shape"),
        ([2, True], "True in the shape"),
        ([2.0], "2.0 in the shape"),
        (["2"], "'2' in the shape"),
        ([None], "None in the shape"),
        ([2**31, 2**31, 2**31], "over 2^62 bytes"),
        ([0, 2**40, 2**40], "over 2^62 bytes"),
    ],
)
def test_bad_shapes(shape, said):
    with pytest.raises(CheckpointError, match=r"^here: ") as caught:
        check_shape(shape, FLOAT32, "here")
    assert said in str(caught.value)


def test_shapes_at_the_limits():
    for shape in ((), (0,), (1,) * MAX_RANK, (2**60,)):
        assert check_shape(shape, FLOAT32, "here") == shape


def test_sizes_and_names_are_those_of_numpy():
    for dtype in DTYPES:
        if dtype is not BFLOAT16:
            assert np.dtype(dtype.name).itemsize == dtype.itemsize


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_float16_widens_exactly(dtype):
    bits = np.arange(2**16, dtype=np.uint16)
    wide = to_floats(Stored(FLOAT16, bits.view(np.float16), FILE), dtype)
    exact = [struct.unpack("<e", pattern.tobytes())[0] for pattern in bits]
    assert wide.dtype == dtype
    assert np.array_equal(wide, exact, equal_nan=True)


def test_every_bfloat16_widens_the_same_to_both():
    stored = Stored(BFLOAT16, np.arange(2**16, dtype=np.uint16), FILE)
    single, double = (to_floats(stored, dtype) for dtype in (np.float32, np.float64))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert np.array_equal(single, double, equal_nan=True)


def test_the_same_dtype_is_a_view_and_all_is_read_only():
    data = np.arange(6, dtype=np.float32)
    data.flags.writeable = False
    same = to_floats(Stored(FLOAT32, data, FILE), np.float32)
    other = to_floats(Stored(FLOAT32, data, FILE), np.float64)
    assert np.shares_memory(same, data)
    assert not np.shares_memory(other, data)
    assert not same.flags.writeable
    assert not other.flags.writeable


def test_strides_and_misalignment_are_straightened():
    raw = np.frombuffer(bytes(1) + np.arange(6, dtype="<f4").tobytes(), np.uint8)
    askew = np.frombuffer(raw.tobytes(), "<f4", 6, 1)
    for data in (askew, np.arange(6, dtype="<f4").reshape(2, 3).T, np.arange(12, dtype="<f4")[::2]):
        straight = to_floats(Stored(FLOAT32, data, FILE), np.float32)
        assert straight.flags.forc
        assert straight.flags.aligned
        assert straight.shape == data.shape
        assert np.array_equal(straight, data)


def test_scalars_and_empty_tensors_keep_their_shape():
    for dtype in (FLOAT64, FLOAT32, FLOAT16, BFLOAT16):
        for shape in ((), (0, 3)):
            bits = from_floats(np.ones(shape), dtype, "here")
            assert to_floats(Stored(dtype, bits, FILE), np.float64).shape == shape


@pytest.mark.parametrize(
    ("value", "dtype"), [(65520.0, FLOAT16), (3.4e38, BFLOAT16), (1e300, BFLOAT16), (1e39, FLOAT32)]
)
def test_a_value_that_does_not_fit_is_named(value, dtype):
    with pytest.raises(CheckpointError, match=f"here: .* does not fit {dtype.name}") as caught:
        from_floats(np.array([1.0, np.inf, -value]), dtype, "here")
    assert str(value) in str(caught.value)


def test_what_is_not_finite_already_may_be_saved():
    bits = from_floats(np.array([np.nan, np.inf, 65519.0]), FLOAT16, "here")
    assert np.array_equal(bits, np.array([np.nan, np.inf, 65504], np.float16), equal_nan=True)


def test_float64_becomes_infinite_in_float32_without_a_warning():
    wide = Stored(FLOAT64, np.array([1e300, np.nan, -0.0]), FILE)
    single = to_floats(wide, np.float32)
    assert np.array_equal(single, np.array([np.inf, np.nan, -0.0], np.float32), equal_nan=True)
