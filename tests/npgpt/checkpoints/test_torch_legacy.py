"""The format of torch.save before 1.6, as torch still writes it, and bad files of it."""

import json
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._torch.inert_pickle import PICKLE_LIMIT
from npgpt.checkpoints._torch.legacy import read_torch_legacy
from npgpt.checkpoints._torch.zip import read_torch_zip
from npgpt.checkpoints._weights import read_weights
from npgpt.errors import CheckpointError
from tests.helpers.checkpoint_making import (
    FALSE,
    FLOATS,
    NONE,
    ORDERED_DICT,
    TRUE,
    call,
    group,
    integer,
    integers,
    is_mapped,
    mapping,
    named,
    pickled,
    state,
    tensor,
    text,
)
from tests.helpers.reader_refusals import check_refused

OLD = {"_use_new_zipfile_serialization": False}


def bits(array):
    return np.ascontiguousarray(array).view(np.uint8).tolist() if array.size else []


@pytest.fixture(scope="module")
def good_state():
    grid = torch.arange(6.0).reshape(2, 3)
    return {
        "grid": grid,
        "turned": grid.T,
        "part": grid[:, 1:],
        "again": grid,
        "weight": torch.nn.Parameter(torch.ones(2).bfloat16()),
        "half": torch.arange(5).half(),
        "double": torch.tensor(3.25, dtype=torch.float64),
        "empty": torch.ones(0, 3),
        "flags": torch.tensor([True, False]),
        **{str(t): torch.arange(3).to(t) for t in (torch.int8, torch.uint8, torch.int64)},
    }


def test_what_torch_writes_is_read_as_its_zip_archives_are(tmp_path, good_state):
    torch.save(good_state, tmp_path / "old.bin", **OLD)
    torch.save(good_state, tmp_path / "new.bin")
    old, new = read_torch_legacy(tmp_path / "old.bin"), read_torch_zip(tmp_path / "new.bin")
    assert list(old.tensors) == list(new.tensors) == list(good_state)
    assert (old.form, old.config) == ("torch legacy", None)
    for name, stored in old.tensors.items():
        assert stored.dtype is new.tensors[name].dtype
        assert stored.data.shape == tuple(good_state[name].shape)
        assert bits(stored.data) == bits(new.tensors[name].data)
        assert is_mapped(stored.data) or not stored.data.size
    assert old.tensors["again"] is old.tensors["grid"]


@pytest.mark.parametrize("protocol", [2, 3])
def test_protocols(tmp_path, protocol):
    torch.save({"a": torch.arange(3.0)}, tmp_path / "a", pickle_protocol=protocol, **OLD)
    assert read_torch_legacy(tmp_path / "a").tensors["a"].data.tolist() == [0, 1, 2]


def test_a_module_s_state_dict_and_shards(tmp_path):
    layer = torch.nn.Linear(2, 3)
    torch.save(layer.state_dict(), tmp_path / "one.bin", **OLD)
    torch.save({"x": torch.ones(2)}, tmp_path / "two.bin", **OLD)
    places = {"weight": "one.bin", "bias": "one.bin", "x": "two.bin"}
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    found = read_weights(tmp_path)
    assert found.form == "torch legacy"
    assert np.array_equal(found.tensors["weight"].data, layer.weight.detach().numpy())


MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
VERSION = pickled(integer(1001))
FACTS = pickled(mapping({"protocol_version": integer(1001), "little_endian": TRUE}))


KEY, COUNT = text("0"), integer(2)


def storage(*, form=FLOATS, key=KEY, count=COUNT, ending=NONE):
    return group(text("storage"), form, key, text("cpu"), count, ending) + b"Q"


def keys(*names):
    return pickled(b"](" + b"".join(map(text, names)) + b"e")


def numbers(*values, count=None):
    return struct.pack("<q", len(values) if count is None else count) + struct.pack(
        f"<{len(values)}f", *values
    )


GOOD = state(a=tensor(storage()))


def file(value=GOOD, *, head=MAGIC + VERSION + FACTS, names=None, data=None):
    listed = keys("0") if names is None else names
    return head + value + listed + (numbers(3, 5) if data is None else data)


def test_the_good_file_of_which_the_bad_ones_are_variants(tmp_path):
    (tmp_path / "a").write_bytes(file())
    assert read_torch_legacy(tmp_path / "a").tensors["a"].data.tolist() == [3, 5]
    assert torch.load(tmp_path / "a", weights_only=True)["a"].tolist() == [3, 5]


TWO = state(a=tensor(storage()), b=tensor(storage(key=text("1"))))
BAD = {
    "another magic number": (MAGIC[:-2] + b"\0." + file()[len(MAGIC) :], "does not start as"),
    "nothing after the magic": (MAGIC, "version, byte 15: needs 1 more bytes"),
    "version 1000": (file(head=MAGIC + pickled(integer(1000)) + FACTS), "version 1000; npgpt"),
    "version is true": (file(head=MAGIC + pickled(TRUE) + FACTS), "version True"),
    "version is a text": (file(head=MAGIC + pickled(text("1001")) + FACTS), "version '1001'"),
    "version is endless": (file(head=MAGIC + b"\x80\2" + b"N" * PICKLE_LIMIT), "goes on after"),
    "version calls": (
        file(head=MAGIC + pickled(call(named("os", "system"), text("true")))), "names 'os.system'"),
    "version refers": (file(head=MAGIC + pickled(text("x") + b"Q")), "version None"),
    "big-endian": (
        file(head=MAGIC + VERSION + pickled(mapping({"little_endian": FALSE}))),
        "little_endian is False"),
    "endianness is 1": (
        file(head=MAGIC + VERSION + pickled(mapping({"little_endian": integer(1)}))),
        "little_endian is 1"),
    "no endianness": (file(head=MAGIC + VERSION + pickled(b"}")), "little_endian is None"),
    "facts are a list": (file(head=MAGIC + VERSION + pickled(b"]")), "little_endian is None"),
    "facts call": (file(head=MAGIC + VERSION + pickled(named("os", "x"))), "names 'os.x'"),
    "state dict calls": (
        file(state(a=call(named("builtins", "eval"), text("1")))), "names 'builtins.eval'"),
    "state dict is a list": (file(pickled(b"]"), names=keys(), data=b""), "holds a list; expected"),
    "state dict of protocol 1": (file(b"\x80\1}."), "not a pickle of protocol 2 to 5"),
    "state dict too long": (file(b"\x80\2}" + b"N" * PICKLE_LIMIT), "goes on after 524288 bytes"),
    "reference of five": (
        file(state(a=tensor(group(text("storage"), FLOATS, text("0"), text("cpu"), integer(2))
                            + b"Q"))), "refers to a tuple; expected a storage"),
    "reference with a view": (
        file(state(a=tensor(storage(ending=group(text("1"), integer(0), integer(1)))))),
        "refers to a tuple"),
    "reference to a module": (
        file(state(a=tensor(group(text("module"), FLOATS, text("x"), text("import os")) + b"Q"))),
        "refers to a tuple"),
    "key is a number": (file(state(a=tensor(storage(key=integer(0))))), "refers to a tuple"),
    "hooks": (file(state(a=tensor(storage(), hooks=b"}"))), "a tensor with hooks"),
    "count negative": (
        file(state(a=tensor(storage(count=integer(-1)))), data=numbers(count=-1)),
        "-1 numbers of float32 were announced"),
    "count of a terabyte": (
        file(state(a=tensor(storage(count=integer(2**40)))), data=numbers(3, count=2**40)),
        "1099511627776 numbers of float32 were announced, but 4 bytes"),
    "count overflows": (
        file(state(a=tensor(storage(count=integer(2**62)))), data=numbers(3, count=2**62)),
        "were announced, but 4 bytes are left"),
    "counts disagree": (file(data=numbers(3, 5, 7)), "holds 3 numbers, but 2 were announced"),
    "counts disagree, none": (file(data=numbers(count=0)), "holds 0 numbers, but 2 were"),
    "one number missing": (file()[:-1], "2 numbers of float32 were announced, but 7 bytes"),
    "all numbers missing": (file(data=b""), "but 0 bytes are left; the file is cut short"),
    "half a count": (file(data=b"\2\0\0"), "but 0 bytes are left; the file is cut short"),
    "one byte too many": (file() + b"\0", "1 bytes after the last storage"),
    "a second model after it": (file() + file(), "bytes after the last storage"),
    "keys are a tuple": (file(names=pickled(group(text("0")))), "list of storages: a tuple"),
    "keys are numbers": (file(names=pickled(b"]" + integer(0) + b"a")), "expected a list of texts"),
    "keys are a text": (file(names=pickled(text("0"))), "list of storages: '0'"),
    "keys are a dict": (file(names=pickled(mapping({"0": NONE}))), "list of storages: a dict"),
    "keys call": (file(names=pickled(named("os", "system"))), "names 'os.system'"),
    "keys refer": (file(names=pickled(b"](" + text("0") + b"Qe")), "expected a list of texts"),
    "keys are missing": (file(names=b"", data=b""), "list of storages, byte "),
    "key missing": (file(names=keys()), "'0' is not in both the list and the state dict"),
    "key unknown": (file(names=keys("0", "1")), "'1' is not in both"),
    "list of storages too long": (
        file(names=b"\x80\2](" + b"}" * 2**17), "list of storages, byte"),
    "key twice": (file(names=keys("0", "0"), data=2 * numbers(3, 5)), "names one twice"),
    "key another": (file(names=keys("../0")), "'../0' is not in both"),
    "the second cut short": (
        file(TWO, names=keys("0", "1"), data=numbers(3, 5) + numbers(3)[:-1]), "storage '1'"),
    "one storage, two counts": (
        file(state(a=tensor(storage()), b=tensor(storage(count=integer(1))))), "in two ways"),
    "one storage, two types": (
        file(state(a=tensor(storage()), b=tensor(storage(form=named("torch", "IntStorage"))))),
        "in two ways"),
    "a tensor reaches outside": (file(state(a=tensor(storage(), shape=integers([3])))), "outside"),
    "a negative stride": (
        file(state(a=tensor(storage(), offset=integer(1), strides=integers([-1])))), "-1 for an"),
    "expanded to a terabyte": (
        file(state(a=tensor(storage(), shape=integers([2**40]), strides=integers([0])))),
        "overlap so much"),
    "a storage for the state dict": (file(pickled(storage())), "holds a storage; expected a state"),
    "an OrderedDict with attributes": (
        file(pickled(ORDERED_DICT + mapping({"x": NONE}) + b"b")), "sets attributes of an"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path, data, said):
    path = tmp_path / "bad.bin"
    path.write_bytes(data)
    check_refused(read_torch_legacy, path, said)


def test_bytes_are_counted_from_the_start_of_the_file(tmp_path):
    value = state(a=call(named("os", "system"), text("true")))
    (tmp_path / "a").write_bytes(file(value))
    place = file(value).index(b"cos\nsystem\n") + len(b"cos\nsystem\n")
    with pytest.raises(CheckpointError, match=f"a: state dict, byte {place}: names 'os.system'"):
        read_torch_legacy(tmp_path / "a")


class Trap:
    """Makes a file when it is unpickled by following it."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_is_run(tmp_path):
    trap = tmp_path / "sprung"
    torch.save({"model": {"a": torch.ones(1)}, "rest": Trap(trap)}, tmp_path / "a", **OLD)
    with pytest.raises(CheckpointError, match=r"names '(io|_io|builtins).open'"):
        read_torch_legacy(tmp_path / "a")
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap))).close()
    assert trap.exists()  # it was a trap


def test_a_file_cut_at_any_place(new_path):
    for length in range(1, len(file())):
        path = new_path()
        path.write_bytes(file()[:length])
        with pytest.raises(CheckpointError, match=f"^{path}: "):
            read_torch_legacy(path)


@given(st.lists(st.tuples(st.integers(0, len(file()) - 1), st.integers(0, 255)), min_size=1))
def test_a_file_with_some_bytes_changed(new_path, changes):
    changed = bytearray(file())
    for place, value in changes:
        changed[place] = value
    path = new_path()
    path.write_bytes(changed)
    try:
        found = read_torch_legacy(path).tensors
    except CheckpointError:
        return
    for name, stored in found.items():
        assert stored.data.nbytes <= len(changed), name
