"""NumPy's archives: what NumPy itself writes and reads, and bad files."""

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from npgpt._config import to_json
from npgpt.checkpoints._formats import format_name
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._npz import _MORE, parse_npy_header, read_npz, write_npz
from npgpt.checkpoints._weights import read_weights
from npgpt.errors import CheckpointError, SettingError
from npgpt.model._parameters import to_arrays
from tests.helpers.checkpoint_making import TINY, is_mapped, random_arrays, zip_bytes
from tests.helpers.dialects import DIALECTS
from tests.helpers.reader_refusals import check_refused

DTYPES = ("<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "|u1", "|b1")


@given(
    st.lists(
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=4, min_side=0))
        ),
        max_size=3,
    ),
    st.sampled_from([np.savez, np.savez_compressed]),
    st.booleans(),
)
def test_what_numpy_writes(new_path, arrays, save, fortran):
    path = new_path(".npz")
    named = {f"a/{i}": np.asfortranarray(a) if fortran else a for i, a in enumerate(arrays)}
    save(path, **named)
    if not named:
        return
    found = read_npz(path)
    assert (found.form, list(found.tensors)) == ("npz", list(named))
    for name, array in named.items():
        stored = found.tensors[name]
        assert stored.dtype.name == array.dtype.name
        assert stored.data.shape == array.shape
        assert np.ascontiguousarray(stored.data).tobytes() == np.ascontiguousarray(array).tobytes()
        if save is np.savez and array.size:
            assert is_mapped(stored.data)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions(tmp_path, version):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(6.0).reshape(2, 3), version=version)
    (tmp_path / "a.npz").write_bytes(zip_bytes({"x.npy": file.getvalue()}))
    assert read_npz(tmp_path / "a.npz").tensors["x"].data.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_what_we_write_numpy_reads(tmp_path, dtype):
    path = tmp_path / "a.npz"
    arrays = {"wte.weight": np.arange(6.0).reshape(2, 3), "s": np.array(0.5), "e": np.ones((0, 2))}
    write_npz(path, arrays, {"n_layer": 2, "activation_function": "gelu"}, dtype=dtype)
    with np.load(path, allow_pickle=False) as loaded:
        fields = json.loads(loaded["config.json"].tobytes())
        assert fields == {"n_layer": 2, "activation_function": "gelu"}
        for name, array in arrays.items():
            assert loaded[name].dtype == dtype
            assert np.array_equal(loaded[name], array)
    found = read_npz(path)
    assert found.config == fields
    assert list(found.tensors) == list(arrays)
    assert found.tensors["wte.weight"].data.__array_interface__["data"][0] % 64 == 0
    before = path.read_bytes()
    write_npz(path, arrays, fields, dtype=dtype)
    assert path.read_bytes() == before


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(SettingError, match="an npz holds float64, float32, float16"):
        write_npz(tmp_path / "a.npz", {}, {}, dtype="bfloat16")
    with pytest.raises(CheckpointError, match="does not fit float16"):
        write_npz(tmp_path / "a.npz", {"a": np.array([1e9])}, {}, dtype="float16")
    with pytest.raises(CheckpointError, match="no tensor can be named"):
        write_npz(tmp_path / "a.npz", {"config.json": np.ones(1)}, {}, dtype="float32")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(("dialect", "rename"), DIALECTS.values(), ids=DIALECTS)
def test_models_of_every_dialect(tmp_path, save, dialect, rename):
    arrays = random_arrays(TINY)
    save(tmp_path / "model.npz", **rename(arrays))
    (tmp_path / "config.json").write_text(json.dumps(to_json(TINY)))
    checkpoint = load_checkpoint(tmp_path)
    assert (checkpoint.listing.format, checkpoint.listing.dialect) == ("npz", dialect)
    found = to_arrays(checkpoint.parameters)
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


def numpy_array(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def header(text, data=bytes(8), version=b"\1\0"):
    size = 2 if version == b"\1\0" else 4
    body = text.encode("latin-1")
    return b"\x93NUMPY" + version + len(body).to_bytes(size, "little") + body + data


def described(descr="'<f4'", order="False", shape="(2,)", data=bytes(8), end="}\n"):
    return header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, {end}", data)


GOOD = described()
BAD_ARRAYS = {
    "nothing": (b"", "no array of .npy version"),
    "another magic": (b"\x93NUMPZ" + GOOD[6:], "no array of .npy version"),
    "version 0": (GOOD[:6] + b"\0\0" + GOOD[8:], "no array of .npy version"),
    "version 4": (GOOD[:6] + b"\4\0" + GOOD[8:], "no array of .npy version"),
    "version 1.1": (GOOD[:6] + b"\1\1" + GOOD[8:], "no array of .npy version"),
    "cut short in the length": (GOOD[:9], "bytes; at most 9 can be read"),
    "cut short in the header": (GOOD[:40], "bytes; at most 40 can be read"),
    "a header of 64 KB": (header("{" + " " * 65000 + "}"), "at most 10000 can be read"),
    "a header of 4 GB": (
        b"\x93NUMPY\2\0\xff\xff\xff\xff" + GOOD[10:], "a header of 4294967307 bytes"),
    "objects": (described("'|O'"), "an array of objects, which are pickles and can run code"),
    "objects of NumPy's": (
        numpy_array(np.array([{}], object), allow_pickle=True), "an array of objects"),
    "objects in a table": (described("[('a', '|O')]"), "npgpt reads arrays of numbers"),
    "a table": (numpy_array(np.zeros(2, [("a", "f4"), ("b", "f4")])), "arrays of numbers"),
    "texts": (numpy_array(np.array(["a"])), "numbers of '<U1'; npgpt reads"),
    "bytes": (numpy_array(np.array([b"a"])), "numbers of '|S1'"),
    "dates": (numpy_array(np.array(["2020-01-01"], "M8[D]")), "numbers of '<M8[D]'"),
    "complex numbers": (numpy_array(np.ones(1, "c8")), "numbers of '<c8'"),
    "whole numbers without sign": (numpy_array(np.ones(1, "u2")), "numbers of '<u2'"),
    "big-endian": (numpy_array(np.ones(1, ">f4")), "'>f4' is big-endian; save it as little"),
    "a void": (numpy_array(np.zeros(1, "V4")), "numbers of '|V4'"),
    "no dtype": (described("''"), "numbers of ''"),
    "descr is a truth": (described("True"), "descr is 'True'"),
    "descr is a call": (described("exec('x')"), "expected descr, fortran_order and shape"),
    "order is a text": (described(order="'False'"), 'fortran_order is "\'False\'"'),
    "order is a number": (described(order="0"), "expected descr, fortran_order and shape"),
    "order is a tuple": (described(order="()"), "fortran_order is '()'"),
    "shape is a list": (described(shape="[2]"), "shape is '[2]'; expected whole numbers"),
    "shape is a number": (described(shape="2"), "expected descr, fortran_order and shape"),
    "shape is a number in brackets": (described(shape="(2)"), "shape is '(2)'"),
    "shape of a comma": (described(shape="(,)"), "shape is '(,)'"),
    "negative": (described(shape="(-2,)"), "shape is '(-2,)'"),
    "fractional": (described(shape="(2.0,)"), "shape is '(2.0,)'"),
    "a truth in the shape": (described(shape="(True,)"), "shape is '(True,)'"),
    "a name in the shape": (described(shape="(x,)"), "shape is '(x,)'"),
    "size overflows": (described(shape=f"({2**62},)"), "a shape of over 2^62 bytes"),
    "product overflows": (described(shape=f"({2**40}, {2**40})"), "a shape of over 2^62 bytes"),
    "size of many digits": (described(shape=f"({'9' * 5000},)"), "shape is '(999"),
    "nothing times everything": (described(shape=f"({2**61}, 0)", data=b""), "over 2^62 bytes"),
    "rank 33": (described(shape=f"({'1, ' * 33})", data=bytes(4)), "33 dimensions; at most 32"),
    "one number short": (described(data=bytes(4)), "takes 8 bytes, but 4 are there"),
    "one byte long": (described(data=bytes(9)), "takes 8 bytes, but 9 are there"),
    "more than the file holds": (described(shape="(999999999,)"), "takes 3999999996 bytes, but 8"),
    "no field": (header("{}\n"), "expected descr, fortran_order and shape"),
    "a field missing": (header("{'descr': '<f4', 'shape': (2,), }\n"), "expected descr, fortran"),
    "a field twice": (described(end="'descr': '<f8', }\n"), "the field 'descr' is given twice"),
    "a field more": (described(end="'x': 1, }\n"), "expected descr, fortran_order and shape"),
    "something after it": (described(end="} + 1\n"), "expected descr, fortran_order and shape"),
    "no brace before it": (header(GOOD[11:-9].decode("latin-1")), "expected descr, fortran_order"),
    "no end": (described(end="\n"), "expected descr, fortran_order and shape"),
    "deep": (header("(" * 9000 + "\n"), "the header is '((((("),
    "many commas": (described(shape="(" + "1, " * 3000), "the header is"),
    "not ASCII": (described("'\xe9'"), "numbers of "),
    "NUL": (described("'<f4\0'"), "numbers of "),
}  # fmt: skip


def changed(data, old, new, count=-1):
    assert old in data
    return data.replace(old, new, count)


def compressed(records):
    return zip_bytes(records, compression=zipfile.ZIP_DEFLATED)


def announcing(size, data=bytes(1000)):
    """An archive with one compressed member that claims to have another size."""
    true = struct.pack("<L", len(data))
    return changed(compressed({"x.npy": data}), true, struct.pack("<L", size))


TABLE = numpy_array(np.arange(300.0))
BAD_ARCHIVES = {
    "a text beside": (zip_bytes({"x.npy": GOOD, "readme": b""}), "member 'readme' is no .npy"),
    "a pickle beside": (zip_bytes({"x.npy": GOOD, "x.pkl": b""}), "member 'x.pkl' is no .npy"),
    "twice": (zip_bytes([("x.npy", GOOD)] * 2), "two members are named 'x.npy'"),
    "cut short": (zip_bytes({"x.npy": GOOD})[:-1], "without its end record"),
    "damaged": (changed(zip_bytes({"x.npy": GOOD}), b"<f4", b"<i4"), "has the checksum"),
    "damaged, compressed": (
        changed(compressed({"x.npy": TABLE}), compressed({"x.npy": TABLE})[60:64], b"\1\2\3\4"),
        "array 'x': "),
    "bzip2": (zip_bytes({"x.npy": GOOD}, compression=zipfile.ZIP_BZIP2), "is compressed; re-save"),
    "LZMA": (zip_bytes({"x.npy": GOOD}, compression=zipfile.ZIP_LZMA), "is compressed; re-save"),
    "inflates to more": (announcing(999), "inflates to more than 999 bytes"),
    "inflates to less": (announcing(1001), "does not inflate to the 1001 bytes announced"),
    "a bomb": (compressed({"x.npy": described(data=bytes(2**26))}), "bytes would become 67108"),
    "bombs": (
        compressed({f"{i}.npy": described(data=bytes(2**23)) for i in range(7)}), "would become"),
    "announces a terabyte": (announcing(2**32 - 2), "bytes would become 4294967294"),
    "config is no JSON": (
        zip_bytes({"config.json.npy": numpy_array(np.frombuffer(b"{", "u1"))}), "not JSON"),
    "config is a list": (
        zip_bytes({"config.json.npy": numpy_array(np.frombuffer(b"[]", "u1"))}), "holds a list"),
    "config is numbers": (
        zip_bytes({"config.json.npy": numpy_array(np.ones(2))}), "not the bytes of a JSON text"),
    "config is a table": (
        zip_bytes({"config.json.npy": numpy_array(np.ones((2, 2), "u1"))}), "not the bytes of a"),
    "config is endless": (
        zip_bytes({"config.json.npy": numpy_array(np.ones(10**6 + 1, "u1"))}), "at most 1000000"),
}  # fmt: skip

BAD = {name: (zip_bytes({"x.npy": data}), said) for name, (data, said) in BAD_ARRAYS.items()} | {
    f"archive: {name}": row for name, row in BAD_ARCHIVES.items()
}


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path, data, said):
    path = tmp_path / "bad.npz"
    path.write_bytes(data)
    assert format_name(path) == "zip"
    check_refused(read_weights, path, said)


def test_the_most_that_is_inflated(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(_MORE // 4 - 2**10, np.float32))
    tracemalloc.start()
    try:
        assert read_npz(path).tensors["x"].data.nbytes > 1000 * path.stat().st_size / 2
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < path.stat().st_size + 2**26


@given(st.text("{}()[]'\",: \n<f4descrfortran_ordershapeTrueFalse0123", max_size=90))
def test_any_header_is_read_or_refused(text):
    for whole in (text, f"{{'descr': '<f4', 'fortran_order': False, 'shape': {text}}}\n"):
        try:
            found = parse_npy_header(header(whole), "it")
        except CheckpointError:
            continue
        assert all(size >= 0 for size in found.shape)


@given(st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1), st.booleans())
def test_a_file_with_some_bytes_changed(new_path, changes, check_sums):
    for make in (zip_bytes, compressed):
        data = bytearray(make({"x.npy": TABLE[:600], "y.npy": GOOD}))
        for place, value in changes:
            data[place % len(data)] = value
        path = new_path()
        path.write_bytes(data)
        try:
            found = read_npz(path, check_sums=check_sums).tensors
        except CheckpointError:
            continue
        assert all(t.data.nbytes <= len(data) + _MORE for t in found.values())
