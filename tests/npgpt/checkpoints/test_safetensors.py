import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from npgpt.checkpoints._safetensors import read_safetensors, write_safetensors
from npgpt.checkpoints._tensors import from_bfloat16
from npgpt.errors import CheckpointError
from tests.helpers.checkpoint_making import is_mapped

NAMES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
LARGEST = {name: float(np.finfo(name).max) for name in NAMES[:3]} | {
    "bfloat16": float.fromhex("0x1.fep127")
}
bit_patterns = st.sampled_from(NAMES).flatmap(
    lambda name: hnp.arrays(np.dtype(name), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
)
keys = st.text(st.characters(exclude_categories=["Cs"])).filter("__metadata__".__ne__)
tensors = st.dictionaries(keys, bit_patterns, max_size=4)


def same_bits(one, other):
    return one.shape == other.shape and one.tobytes() == other.tobytes()


@given(tensors)
def test_the_official_package_reads_what_we_write(new_path, arrays):
    path = new_path(".safetensors")
    write_safetensors(path, arrays)
    theirs = safetensors.numpy.load_file(path)
    assert theirs.keys() == arrays.keys()
    for name, array in arrays.items():
        assert theirs[name].dtype == array.dtype
        assert same_bits(theirs[name], array)
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() == {"format": "pt"}


# Without tensors and with empty metadata, version 0.8.0 of the package writes broken JSON.
@given(tensors, st.none() | st.dictionaries(keys, keys, min_size=1, max_size=2))
def test_we_read_what_the_official_package_writes(new_path, arrays, metadata):
    path = new_path(".safetensors")
    path.write_bytes(safetensors.numpy.save(arrays, metadata))
    ours = read_safetensors(path)
    assert ours.keys() == arrays.keys()
    for name, array in arrays.items():
        assert ours[name].dtype.name == array.dtype.name
        assert same_bits(ours[name].data, array)


@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=0, min_side=0)))
def test_bfloat16_of_the_official_package(new_path, bits):
    path = new_path(".safetensors")
    halves = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    safetensors.torch.save_file({"a": halves}, path)
    (stored,) = read_safetensors(path).values()
    assert stored.dtype.name == "bfloat16"
    assert same_bits(stored.data, bits)


@given(st.sampled_from(sorted(LARGEST)), hnp.arrays(np.float64, 5))
def test_rounding_to_a_dtype(new_path, dtype, array):
    path = new_path(".safetensors")
    array = np.clip(array, -LARGEST[dtype], LARGEST[dtype])
    write_safetensors(path, {"a": array}, dtype=dtype)
    with safetensors.safe_open(path, "pt") as file:
        theirs = file.get_tensor("a")
    ours = read_safetensors(path)["a"]
    bits = from_bfloat16(ours.data) if dtype == "bfloat16" else ours.data
    assert str(theirs.dtype) == f"torch.{dtype}"
    assert np.array_equal(theirs.double().numpy(), bits.astype(np.float64), equal_nan=True)


def test_tensors_stay_in_the_file_and_are_read_only(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": np.ones((3, 5), np.float32), "b": np.ones(7, np.float32)})
    for stored in read_safetensors(path).values():
        assert is_mapped(stored.data)
        assert stored.data.flags.aligned
        assert stored.data.ctypes.data % 4 == 0
        with pytest.raises(ValueError, match="read-only"):
            stored.data[...] = 0


def test_the_data_starts_aligned_whatever_the_header(new_path):
    for length in range(70):
        path = new_path(".safetensors")
        write_safetensors(path, {"a" * length: np.ones(1)})
        assert read_safetensors(path)["a" * length].data.ctypes.data % 64 == 0


def test_unusual_layouts_of_arrays_are_written_in_order(tmp_path):
    path = tmp_path / "a.safetensors"
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    swapped = grid.astype(grid.dtype.newbyteorder())
    given_arrays = {"t": grid.T, "step": grid[::2, ::-1], "swapped": swapped, "same": grid[0, :0]}
    write_safetensors(path, given_arrays)
    for name, stored in read_safetensors(path).items():
        assert np.array_equal(stored.data, given_arrays[name])


@pytest.mark.parametrize(
    ("arrays", "dtype", "said"),
    [
        ({"__metadata__": np.ones(1)}, None, "no tensor can be named '__metadata__'"),
        ({"a": np.ones(1, complex)}, None, "'a' is complex128 and cannot be written as complex128"),
        ({"a": np.ones(1)}, "float8", "cannot be written as float8"),
        ({"a": np.ones(1)}, "int8", "'a' is float64 and cannot be written as int8"),
        ({"a": np.ones(1, int)}, "float32", "'a' is int64 and cannot be written as float32"),
        ({"a": np.full(1, 1e5)}, "float16", "'a': 100000.0 does not fit float16"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, arrays, dtype, said):
    with pytest.raises(CheckpointError) as caught:
        write_safetensors(tmp_path / "a.safetensors", arrays, dtype=dtype)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_order_of_the_file_does_not_matter(tmp_path):
    path = tmp_path / "a.safetensors"
    header = {
        "second": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]},
        "empty": {"dtype": "I64", "shape": [0, 3], "data_offsets": [2, 2]},
        "first": {"shape": [2], "data_offsets": [0, 2], "dtype": "U8"},
    }
    text = json.dumps(header).encode()
    data = b"\1\2" + np.float32(3).tobytes()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    found = read_safetensors(path)
    assert {name: stored.data.tolist() for name, stored in found.items()} == {
        "second": [3.0], "empty": [], "first": [1, 2],
    }  # fmt: skip
