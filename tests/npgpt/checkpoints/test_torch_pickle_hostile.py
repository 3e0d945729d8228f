import os
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._torch.inert_pickle import PICKLE_LIMIT
from npgpt.checkpoints._torch.zip import read_torch_zip
from npgpt.errors import CheckpointError
from tests.helpers.checkpoint_making import (
    FALSE,
    FLOATS,
    NO_TUPLE,
    NONE,
    ORDERED_DICT,
    REBUILD_PARAMETER,
    REBUILD_TENSOR,
    TRUE,
    call,
    group,
    integer,
    integers,
    mapping,
    named,
    pickled,
    state,
    storage,
    tensor,
    text,
    torch_bytes,
    zip_bytes,
)
from tests.helpers.reader_refusals import check_refused

GOOD = state(a=tensor())


def archive(**records):
    """A good archive with some records added, or in place of others."""
    return zip_bytes(
        {f"it/{n}": d for n, d in ({"data.pkl": GOOD, "data/0": bytes(8)} | records).items()}
    )


def test_the_good_file_of_which_the_bad_ones_are_variants(tmp_path):
    path = tmp_path / "good.bin"
    path.write_bytes(torch_bytes(GOOD, {"data/0": struct.pack("<2f", 3, 5)}))
    assert read_torch_zip(path).tensors["a"].data.tolist() == [3, 5]
    assert torch.load(path, weights_only=True)["a"].tolist() == [3, 5]


class Malice:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_is_run(tmp_path):
    trap = tmp_path / "sprung"
    (tmp_path / "a.bin").write_bytes(torch_bytes(pickle.dumps({"a": Malice(trap)}, 2)))
    with pytest.raises(CheckpointError, match=r"mkdir', which a GPT-2's state dict does not need"):
        read_torch_zip(tmp_path / "a.bin")
    assert not trap.exists()


def reference(*parts):
    return state(a=tensor(group(*parts) + b"Q"))


STORAGE = (text("storage"), FLOATS, text("0"), text("cpu"), integer(2))
WEIGHTS = (storage(), integer(0), integers([2]), integers([1]), FALSE, ORDERED_DICT)
HALVES = named("torch", "HalfStorage")
DOUBLES = named("torch", "DoubleStorage")
WHOLE = named("torch", "IntStorage")
HOOKS = mapping({"x": NONE}, empty=ORDERED_DICT)

# What is wrong: the pickle, and what the message says.
BAD_PICKLES = {
    "a call of eval": (
        pickled(call(named("builtins", "eval"), text("1"))),
        "names 'builtins.eval'"),
    "getattr": (pickled(named("builtins", "getattr")), "names 'builtins.getattr'"),
    "torch.load": (pickled(named("torch", "load")), "names 'torch.load'"),
    "another rebuild": (
        pickled(named("torch._utils", "_rebuild_tensor_v3")),
        "_rebuild_tensor_v3'"),
    "torch.storage": (pickled(named("torch.storage", "UntypedStorage")), "UntypedStorage'"),
    "complex numbers": (pickled(named("torch", "ComplexFloatStorage")), "ComplexFloatStorage'"),
    "not a dict": (pickled(tensor()), "holds a tensor; expected a state dict"),
    "a tuple": (pickled(group(tensor())), "holds a tuple; expected a state dict"),
    "a storage": (pickled(storage()), "holds a storage; expected a state dict"),
    "a function": (pickled(FLOATS), "holds a function; expected a state dict"),
    "nested elsewhere": (state(ema=mapping({"a": tensor()})), "'ema' is a dict; expected a tensor"),
    "a number": (state(epoch=integer(3)), "'epoch' is 3; expected a tensor"),
    "a text": (state(name=text("x" * 999)), "'name' is 'xxx"),
    "None": (state(a=NONE), "'a' is None; expected a tensor"),
    "a storage for a tensor": (state(a=storage()), "'a' is a storage; expected a tensor"),
    "a class for a tensor": (state(a=FLOATS), "'a' is a function; expected a tensor"),
    "OrderedDict of something": (
        pickled(call(named("collections", "OrderedDict"), NO_TUPLE)),
        "OrderedDict with 1 arguments"),
    "call of a storage": (state(a=call(FLOATS, integer(2))), "calls FloatStorage with 1 arguments"),
    "tensor of nothing": (state(a=call(REBUILD_TENSOR)), "_rebuild_tensor_v2 with 0 arguments"),
    "tensor with five": (state(a=call(REBUILD_TENSOR, *WEIGHTS[:5])), "v2 with 5 arguments"),
    "tensor with metadata": (state(a=call(REBUILD_TENSOR, *WEIGHTS, NONE)), "v2 with 7 arguments"),
    "tensor of a text": (state(a=tensor(text("0"))), "a tensor in '0'; expected a storage"),
    "tensor of a tensor": (state(a=tensor(tensor())), "a tensor in a tensor; expected a storage"),
    "requires_grad is a number": (
        state(a=call(REBUILD_TENSOR, *WEIGHTS[:4], integer(1), ORDERED_DICT)), "requires_grad"),
    "hooks": (state(a=tensor(hooks=HOOKS)), "a tensor with hooks"),
    "hooks are None": (state(a=tensor(hooks=NONE)), "a tensor with hooks"),
    "hooks are a dict": (state(a=tensor(hooks=b"}")), "a tensor with hooks"),
    "parameter of a storage": (
        state(a=call(REBUILD_PARAMETER, storage(), TRUE, ORDERED_DICT)),
        "a parameter of a storage"),
    "parameter of a text": (
        state(a=call(REBUILD_PARAMETER, text("x"), TRUE, ORDERED_DICT)), "a parameter of 'x'"),
    "parameter with hooks": (state(a=call(REBUILD_PARAMETER, tensor(), TRUE, HOOKS)), "with hooks"),
    "parameter with two": (state(a=call(REBUILD_PARAMETER, tensor(), TRUE)), "with 2 arguments"),
    "reference to a text": (state(a=tensor(text("storage") + b"Q")), "refers to 'storage'"),
    "reference to nothing": (state(a=tensor(NONE + b"Q")), "refers to None; expected a storage"),
    "reference of four": (reference(*STORAGE[:4]), "refers to a tuple; expected a storage"),
    "reference of six": (reference(*STORAGE, NONE), "refers to a tuple; expected a storage"),
    "reference to a module": (reference(text("module"), *STORAGE[1:]), "refers to a tuple"),
    "type is a text": (
        reference(STORAGE[0], text("FloatStorage"), *STORAGE[2:]),
        "refers to a tuple"),
    "type is no storage": (
        reference(STORAGE[0], named("collections", "OrderedDict"), *STORAGE[2:]),
        "refers to a tuple"),
    "key is a number": (reference(*STORAGE[:2], integer(0), *STORAGE[3:]), "refers to a tuple"),
    "location is None": (reference(*STORAGE[:3], NONE, STORAGE[4]), "refers to a tuple"),
    "count is true": (reference(*STORAGE[:4], TRUE), "refers to a tuple; expected a storage"),
    "count is a text": (reference(*STORAGE[:4], text("2")), "refers to a tuple"),
    "key of a path": (state(a=tensor(storage(key="../0"))), "storage '../0' is missing"),
    "key of a root": (state(a=tensor(storage(key="/etc/passwd"))), "'/etc/passwd' is missing"),
    "key of nothing": (state(a=tensor(storage(key=""))), "storage '' is missing"),
    "record missing": (state(a=tensor(storage(key="1"))), "storage '1' is missing"),
    "count too small": (state(a=tensor(storage(count=integer(1)))), "has 8 bytes, but 1 numbers"),
    "count too large": (state(a=tensor(storage(count=integer(3)))), "has 8 bytes, but 3 numbers"),
    "count negative": (state(a=tensor(storage(count=integer(-2)))), "but -2 numbers of float32"),
    "count overflows": (state(a=tensor(storage(count=integer(2**62 + 2)))), "has 8 bytes, but 46"),
    "type too small": (state(a=tensor(storage(HALVES))), "has 8 bytes, but 2 numbers of float16"),
    "type too large": (state(a=tensor(storage(DOUBLES))), "but 2 numbers of float64 were"),
    "one storage, two types": (
        state(a=tensor(), b=tensor(storage(WHOLE))),
        "'0' is described in two ways"),
    "one storage, two counts": (
        state(a=tensor(), b=tensor(storage(count=integer(1)))), "'0' is described in two ways"),
    "offset outside": (state(a=tensor(offset=integer(1))), "reach outside its 2 numbers"),
    "offset negative": (state(a=tensor(offset=integer(-1))), "-1 for an offset or stride"),
    "offset is true": (state(a=tensor(offset=TRUE)), "True for an offset or stride"),
    "offset overflows": (state(a=tensor(offset=integer(2**63 - 1))), "reach outside its 2"),
    "size outside": (state(a=tensor(shape=integers([3]))), "reach outside its 2 numbers"),
    "size negative": (state(a=tensor(shape=integers([-1]))), "-1 in the shape"),
    "size overflows": (
        state(a=tensor(shape=integers([2**40, 2**40]), strides=integers([0, 0]))),
        "over 2^62 bytes"),
    "stride outside": (state(a=tensor(strides=integers([2]))), "reach outside its 2 numbers"),
    "stride negative": (state(a=tensor(offset=integer(1), strides=integers([-1]))), "-1 for an"),
    "stride overflows": (state(a=tensor(strides=integers([2**62]))), "reach outside its 2"),
    "strides missing": (state(a=tensor(strides=NO_TUPLE)), "not two tuples of one length"),
    "shape is a number": (state(a=tensor(shape=integer(2))), "not two tuples of one length"),
    "rank 65": (
        state(a=tensor(shape=integers([1] * 65), strides=integers([1] * 65))), "65 dimensions"),
    "expanded to a terabyte": (
        state(a=tensor(shape=integers([2**40]), strides=integers([0]))), "overlap so much"),
    "a thousand windows on one storage": (
        state(**{
            str(i): tensor(shape=integers([2**15 + i]), strides=integers([0])) for i in range(1000)
        }), "overlap so much"),
    "too long": (
        state(**{"x" * PICKLE_LIMIT: tensor()}), f"bytes; at most {PICKLE_LIMIT} are read"
    ),
}  # fmt: skip

BAD_ARCHIVES = {
    "no records": (zip_bytes({}), "0 members NAME/data.pkl"),
    "no pickle": (zip_bytes({"it/data/0": bytes(8)}), "0 members NAME/data.pkl"),
    "pickle at the top": (zip_bytes({"data.pkl": GOOD, "data/0": bytes(8)}), "0 members NAME/data"),
    "pickle too deep": (zip_bytes({"a/b/data.pkl": GOOD}), "0 members NAME/data.pkl"),
    "two pickles": (zip_bytes({"a/data.pkl": GOOD, "b/data.pkl": GOOD}), "2 members NAME/data.pkl"),
    "pickle twice": (zip_bytes([("a/data.pkl", GOOD)] * 2), "two members are named 'a/data.pkl'"),
    "record twice": (
        zip_bytes([("it/data.pkl", GOOD), ("it/data/0", bytes(8)), ("it/data/0", bytes(8))]),
        "two members are named 'it/data/0'"),
    "storage elsewhere": (
        zip_bytes({"a/data.pkl": GOOD, "b/data/0": bytes(8)}),
        "member 'b/data/0', which torch.save does not write"),
    "storage missing": (zip_bytes({"it/data.pkl": GOOD}), "'0' is missing"),
    # torch reads the first of these in the directory, whatever its case.
    "two pickles but for case": (
        archive(**{"DATA.PKL": GOOD}), "'it/data.pkl' and 'it/DATA.PKL', of which torch may read"),
    "two storages but for case": (
        archive(**{"data/W": bytes(8), "data/w": bytes(8)}), "'it/data/W' and 'it/data/w'"),
    "two folders but for case": (archive(**{"DATA/0": bytes(8)}), "'it/data/0' and 'it/DATA/0'"),
    "byteorder in capitals": (archive(BYTEORDER=b"big"), "member 'it/BYTEORDER', which torch.save"),
    "a root in capitals": (
        zip_bytes({"it/data.pkl": GOOD, "IT/data/0": bytes(8)}), "member 'IT/data/0', which"),
    "something else beside": (archive(**{"code/a.py": b""}), "member 'it/code/a.py', which torch"),
    "TorchScript": (archive(**{"constants.pkl": b"\x80\2)."}), "a TorchScript program"),
    "big-endian": (archive(byteorder=b"big"), "byteorder is not 'little'"),
    "byteorder unknown": (archive(byteorder=b"little\n"), "byteorder is not 'little'"),
    "byteorder endless": (
        archive(byteorder=b"x" * (PICKLE_LIMIT + 1)), f"at most {PICKLE_LIMIT} are read"
    ),
    "empty pickle": (archive(**{"data.pkl": b""}), "data.pkl, byte 0: needs 1 more bytes"),
    "record one short": (archive(**{"data/0": bytes(7)}), "has 7 bytes, but 2 numbers"),
    "record one long": (archive(**{"data/0": bytes(9)}), "has 9 bytes, but 2 numbers"),
    "record empty": (archive(**{"data/0": b""}), "has 0 bytes, but 2 numbers"),
    "compressed": (zip_bytes({"it/data.pkl": GOOD}, compression=8), "is compressed; re-save it"),
    "cut short": (archive()[:-1], "without its end record"),
    "numbers damaged": (archive(**{"data/0": b"12345678"}).replace(b"12345678", b"12345679"),
        "member 'it/data/0' has the checksum"),
    "pickle damaged": (archive().replace(b"cpu", b"gpu"), "member 'it/data.pkl' has the checksum"),
}  # fmt: skip

BAD = {name: (torch_bytes(data), said) for name, (data, said) in BAD_PICKLES.items()} | {
    f"archive: {name}": row for name, row in BAD_ARCHIVES.items()
}


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path, data, said):
    path = tmp_path / "bad.bin"
    path.write_bytes(data)
    check_refused(read_torch_zip, path, said)


def test_what_torch_writes_beside_the_numbers(tmp_path):
    path = tmp_path / "good.bin"
    path.write_bytes(
        archive(
            version=b"3\n",
            byteorder=b"little",
            **{
                ".format_version": b"1",
                ".storage_alignment": b"64",
                ".data/serialization_id": b"7",
            },
        )
    )
    assert read_torch_zip(path).tensors["a"].data.tolist() == [0, 0]
    assert torch.load(path, weights_only=True)["a"].tolist() == [0, 0]


def test_small_overlaps_are_honoured(tmp_path):
    path = tmp_path / "a.bin"
    torch.save({"a": torch.ones(1).expand(1000, 1000)}, path)
    assert np.array_equal(read_torch_zip(path).tensors["a"].data, np.ones((1000, 1000)))


@pytest.fixture(scope="module")
def valid(new_path):
    path = new_path()
    grid = torch.arange(6.0).reshape(2, 3)
    torch.save({"wte": grid, "t": grid.T, "b": torch.nn.Parameter(torch.ones(2).half())}, path)
    return path.read_bytes()


def test_a_file_cut_at_any_place(new_path, valid):
    for length in range(1, len(valid), 7):
        path = new_path()
        path.write_bytes(valid[:length])
        with pytest.raises(CheckpointError, match=f"^{path}: "):
            read_torch_zip(path)


@given(data=st.data(), check_sums=st.booleans())
def test_a_file_with_some_bytes_changed(new_path, valid, data, check_sums):
    changed = bytearray(valid)
    pickle_at = valid.index(b"\x80\2")
    places = st.integers(0, len(valid) - 1) | st.integers(pickle_at, pickle_at + 400)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    path = new_path()
    path.write_bytes(changed)
    try:
        found = read_torch_zip(path, check_sums=check_sums).tensors
    except CheckpointError:
        return
    for stored in found.values():
        assert stored.data.tobytes().__len__() == stored.data.size * stored.dtype.itemsize


@given(
    shape=st.lists(st.integers(0, 3), max_size=3),
    strides=st.lists(st.integers(0, 5), min_size=3, max_size=3),
    offset=st.integers(0, 9),
    count=st.integers(0, 9),
    size=st.integers(0, 9).map(lambda n: 4 * n) | st.integers(0, 40),
)
def test_what_we_read_torch_reads_the_same(new_path, shape, strides, offset, count, size):
    path = new_path()
    described = tensor(
        storage(count=integer(count)),
        offset=integer(offset),
        shape=integers(shape),
        strides=integers(strides[: len(shape)]),
    )
    path.write_bytes(torch_bytes(state(a=described), {"data/0": bytes(range(size))}))
    try:
        ours = read_torch_zip(path).tensors["a"].data
    except CheckpointError:
        return
    theirs = torch.load(path, weights_only=True)["a"].numpy()
    assert ours.shape == theirs.shape
    assert ours.tobytes() == theirs.tobytes()
