import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._files import JSON_LIMIT
from npgpt.checkpoints._safetensors import read_safetensors, write_safetensors
from npgpt.errors import CheckpointError
from tests.helpers.checkpoint_making import safetensors_bytes, tensor_entry
from tests.helpers.reader_refusals import check_refused

FOUR = bytes(4)


def one(entry):
    """A file of one tensor, `a`, and four bytes of data."""
    return safetensors_bytes({"a": entry}, FOUR)


def two(first, second, data):
    entries = {"a": tensor_entry(data_offsets=first), "b": tensor_entry(data_offsets=second)}
    return safetensors_bytes(entries, data)


def header(text, data=FOUR):
    return safetensors_bytes(text.encode(), data)


ENTRY = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


def sized(text):
    """A file of one tensor, `a`, whose only size is spelled so."""
    return header('{"a":' + ENTRY.replace("[1]", f"[{text}]") + "}")


BAD = {
    "seven bytes": (bytes(7), "7 bytes; safetensors start with 8 bytes"),
    "no header": (bytes(8), "not one JSON object"),
    "header past the end": (safetensors_bytes({}, length=100), "header of 100 bytes but is 10"),
    "header one past the end": (safetensors_bytes({}, length=3), "header of 3 bytes but is 10"),
    "length over the limit": (safetensors_bytes({}, length=JSON_LIMIT + 1), "at most"),
    "length of 100 MB": (safetensors_bytes({}, length=100_000_001), "of 100000001 bytes"),
    "length of 2^64": (safetensors_bytes({}, length=2**64 - 1), "of 18446744073709551615 bytes"),
    "header cut by its length": (safetensors_bytes({"a": 1}, length=5), "not one JSON object"),
    "not UTF-8": (safetensors_bytes(b'{"\xff": 1}'), "header: not UTF-8"),
    "byte order mark": (safetensors_bytes(b"\xef\xbb\xbf{}"), "not one JSON object"),
    "a list": (header("[]", b""), "not one JSON object"),
    "space before": (header(" {}", b""), "not one JSON object"),
    "newline after": (header("{}\n", b""), "not one JSON object"),
    "NUL after": (header("{}\0", b""), "not one JSON object"),
    "two objects": (header("{}{}", b""), "not JSON"),
    "nested too deeply": (header('{"a":' + "[" * 99999 + "}"), "nested too deeply"),
    "name twice": (header(f'{{"a":{ENTRY},"a":{ENTRY}}}'), "the field 'a' is given twice"),
    "field twice": (
        header('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
        "the field 'dtype' is given twice",
    ),
    "metadata twice": (header('{"__metadata__":{},"__metadata__":{}}', b""), "given twice"),
    "metadata of a list": (header('{"__metadata__":[]}', b""), "not an object of texts"),
    "metadata of null": (header('{"__metadata__":null}', b""), "not an object of texts"),
    "metadata of a number": (header('{"__metadata__":{"a":1}}', b""), "not an object of texts"),
    "metadata of an object": (header('{"__metadata__":{"a":{}}}', b""), "not an object of texts"),
    "half a surrogate pair": (header('{"__metadata__":{"a":"\\ud800"}}', b""), "surrogate"),
    "tensor is null": (one(None), "tensor 'a': expected an object of just dtype, shape"),
    "tensor is a list": (one([]), "tensor 'a': expected an object"),
    "no dtype": (header('{"a":{"shape":[1],"data_offsets":[0,4]}}'), "expected an object of just"),
    "one field more": (one({**tensor_entry(), "more": 1}), "expected an object of just"),
    "dtype unknown": (one(tensor_entry(dtype="F31")), "dtype is 'F31'; npgpt reads F64"),
    "dtype in small letters": (one(tensor_entry(dtype="f32")), "dtype is 'f32'"),
    "dtype that npgpt lacks": (one(tensor_entry(dtype="F8_E4M3")), "dtype is 'F8_E4M3'"),
    "dtype is a number": (one(tensor_entry(dtype=32)), "dtype is 32"),
    "dtype is a list": (one(tensor_entry(dtype=["F32"])), "dtype is a list"),
    "shape is null": (one(tensor_entry(shape=None)), "shape is None; expected a list"),
    "shape is a number": (one(tensor_entry(shape=1)), "shape is 1; expected a list"),
    "shape is a text": (one(tensor_entry(shape="1")), "shape is '1'; expected a list"),
    "size is negative": (one(tensor_entry(shape=[-1])), "-1 in the shape"),
    "two sizes are negative": (one(tensor_entry(shape=[-1, -1])), "-1 in the shape"),
    "size is a fraction": (one(tensor_entry(shape=[1.0])), "1.0 in the shape"),
    "size has an exponent": (sized("1e0"), "1.0 in the shape"),
    "size is true": (one(tensor_entry(shape=[True])), "True in the shape"),
    "size is null": (one(tensor_entry(shape=[None])), "None in the shape"),
    "size is a list": (one(tensor_entry(shape=[[1]])), "a list in the shape"),
    "size is NaN": (sized("NaN"), "NaN is not JSON"),
    "size is infinite": (sized("1e999"), "too large"),
    "size is endless": (one(tensor_entry(shape=[10**4000])), "a number of 4001 characters"),
    "sizes overflow 64 bits": (one(tensor_entry(shape=[2**32, 2**32])), "over 2^62 bytes"),
    "sizes overflow to four bytes": (one(tensor_entry(shape=[2**63 + 1, 2])), "over 2^62 bytes"),
    "sizes overflow but for a 0": (one(tensor_entry(shape=[2**40, 2**40, 0])), "over 2^62 bytes"),
    "rank 65": (one(tensor_entry(shape=[1] * 65)), "65 dimensions; at most 32"),
    "rank 100,000": (one(tensor_entry(shape=[1] * 100_000)), "100000 dimensions"),
    "shape too small": (one(tensor_entry(shape=[0])), "takes 0 bytes, but its offsets are 0 to 4"),
    "shape too large": (one(tensor_entry(shape=[2])), "takes 8 bytes, but its offsets are 0 to 4"),
    "dtype too large": (one(tensor_entry(dtype="F64")), "takes 8 bytes"),
    "offsets are null": (one(tensor_entry(data_offsets=None)), "not two whole numbers"),
    "one offset": (one(tensor_entry(data_offsets=[4])), "not two whole numbers"),
    "three offsets": (one(tensor_entry(data_offsets=[0, 4, 8])), "not two whole numbers"),
    "offsets are fractions": (one(tensor_entry(data_offsets=[0.0, 4.0])), "not two whole numbers"),
    "offsets are booleans": (one(tensor_entry(data_offsets=[False, True])), "not two whole"),
    "offsets reversed": (one(tensor_entry(data_offsets=[4, 0])), "its offsets are 4 to 0"),
    "offsets negative": (one(tensor_entry(data_offsets=[-4, 0])), "overlaps the tensor before it"),
    "offsets past the end": (one(tensor_entry(data_offsets=[4, 8])), "leaves a hole before"),
    "offsets far past the end": (
        one(tensor_entry(data_offsets=[2**60, 2**60 + 4])),
        "leaves a hole before",
    ),
    "two overlap": (two([0, 4], [2, 6], bytes(6)), "'b': overlaps the tensor before it"),
    "two are the same": (two([0, 4], [0, 4], FOUR), "'b': overlaps the tensor before it"),
    "a hole between": (two([0, 4], [5, 9], bytes(9)), "'b': leaves a hole before"),
    "a hole in front": (two([1, 5], [5, 9], bytes(9)), "'a': leaves a hole before"),
    "data cut short": (two([0, 4], [4, 8], bytes(7)), "holds 7 bytes of tensors but its header"),
    "no data": (safetensors_bytes({"a": tensor_entry()}), "the file is cut short"),
    "one byte more": (two([0, 4], [4, 8], bytes(9)), "something was added at the end"),
    "data without tensors": (header("{}"), "something was added at the end"),
    "long name": (safetensors_bytes({"\n" * 10**5: 1}), r"tensor '\n\n"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path, data, said):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    check_refused(read_safetensors, path, said)


@pytest.fixture(scope="module")
def valid(new_path):
    path = new_path()
    arrays = {"wte": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones((), np.float16)}
    write_safetensors(path, {**arrays, "none": np.ones((0, 2), np.int64)})
    return path.read_bytes()


def test_a_file_cut_at_any_place(new_path, valid):
    for length in range(len(valid)):
        path = new_path()
        path.write_bytes(valid[:length])
        with pytest.raises(CheckpointError, match=f"^{path}: "):
            read_safetensors(path)


def official(data):
    """What the official reader makes of a file: arrays by name, or None."""
    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError):  # KeyError: dtypes that NumPy lacks
        return None


def check(path, data):
    """Either CheckpointError, or what the official reader says."""
    path.write_bytes(data)
    try:
        found = read_safetensors(path)
    except CheckpointError:
        return
    theirs = official(data)
    assert theirs is not None
    assert theirs.keys() == found.keys()
    for name, stored in found.items():
        assert stored.dtype.name == theirs[name].dtype.name
        assert stored.data.shape == theirs[name].shape
        assert stored.data.tobytes() == theirs[name].tobytes()


@given(data=st.data())
def test_a_file_with_some_bytes_changed(new_path, valid, data):
    changed = bytearray(valid)
    for place in data.draw(st.lists(st.integers(0, len(valid) - 1), min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255) | st.sampled_from(b'{}[]",:0123456789'))
    check(new_path(), bytes(changed))


offsets = st.integers(-1, 9) | st.sampled_from([0, 4, 8])
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F32", "I64", "U8", "BOOL", "F16", "X"]),
        "shape": st.lists(st.integers(-1, 4) | st.just(2**62), max_size=3),
        "data_offsets": st.lists(offsets, min_size=2, max_size=2).map(sorted),
    },
    optional={"more": st.none()},
)


@given(st.dictionaries(st.text("ab", max_size=1), entries, max_size=3), st.integers(0, 9))
def test_random_headers(new_path, header, size):
    check(new_path(), safetensors_bytes(json.dumps(header).encode(), bytes(size)))
