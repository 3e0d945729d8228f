import os
import pickle
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._torch.inert_pickle import PICKLE_LIMIT, Global, load_pickle
from npgpt.errors import CheckpointError
from tests.helpers.checkpoint_making import (
    NO_TUPLE,
    NONE,
    ORDERED_DICT,
    TRUE,
    call,
    group,
    integer,
    mapping,
    named,
    pickled,
    text,
)

ORDERED = Global("collections", "OrderedDict")
PLAIN = (str, int, float, list, tuple, dict, Global, type(None))


def reduce(function, arguments):
    return OrderedDict() if arguments == () else ("called", function, arguments)


def read(data):
    return load_pickle(
        data, "it", allowed={ORDERED}, reduce=reduce, persistent=lambda key: ("stored", key)
    )


texts = st.text(st.characters(exclude_categories=["Cs"]))
integers = st.integers(-(2**63), 2**63 - 1)
values = st.recursive(
    st.none() | st.booleans() | integers | texts | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(texts | integers, inner, max_size=4)
    ),
)


@given(values, st.integers(2, 5))
def test_what_python_pickles_is_read_back(value, protocol):
    assert repr(read(pickle.dumps(value, protocol))) == repr(value)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_an_ordered_dict_with_the_attribute_of_state_dicts(protocol):
    state = OrderedDict(a=1, b=(2, None))
    state._metadata = OrderedDict({"": {"version": 1}})
    found = read(pickle.dumps(state, protocol))
    assert found == state
    assert type(found) is OrderedDict
    assert vars(found) == {}


def test_values_that_are_shared_are_shared():
    shared = ("x",)
    found = read(pickle.dumps((shared, shared), 2))
    assert found[0] is found[1]


def test_references_to_something_outside():
    assert read(pickled(group(text("storage"), integer(1)) + b"Q")) == ("stored", ("storage", 1))


class Malice:
    """Pickles as a call that makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_run(tmp_path, protocol):
    trap = tmp_path / "sprung"
    data = pickle.dumps({"a": Malice(trap)}, protocol)
    with pytest.raises(CheckpointError, match=r"^it, byte \d+: "):
        read(data)
    assert not trap.exists()
    pickle.loads(data)
    assert trap.exists()  # it was a trap


def instance(opcode):
    """A pickle that calls by another opcode than REDUCE."""
    return pickled(b"(" + integer(1) + opcode)


EMPTY = b"}"
BAD = {
    "nothing": (b"", "needs 1 more bytes, but 0 are left"),
    "no protocol": (b"}.", "not a pickle of protocol 2 to 5"),
    "protocol 1": (b"\x80\1}.", "not a pickle of protocol 2 to 5"),
    "protocol 6": (b"\x80\6}.", "not a pickle of protocol 2 to 5"),
    "protocol twice": (b"\x80\2\x80\2}.", r"opcode b'\x80'"),
    "no end": (b"\x80\2}", "needs 1 more bytes, but 0 are left"),
    "something after the end": (pickled(EMPTY) + b"N", "ends with values left over"),
    "nothing to return": (pickled(b""), "ends with values left over"),
    "two values to return": (pickled(EMPTY + EMPTY), "ends with values left over"),
    "a mark left over": (pickled(EMPTY + b"("), "ends with values left over"),
    "os.system": (pickled(call(named("os", "system"), text("true"))), "names 'os.system'"),
    "builtins.eval": (pickled(named("builtins", "eval")), "names 'builtins.eval'"),
    "module of the same name": (pickled(named("evil.collections", "OrderedDict")), "names 'evil"),
    "dotted name": (pickled(named("collections", "OrderedDict.__init__")), "__init__'"),
    "name with a space": (pickled(named("collections", "OrderedDict ")), "OrderedDict '"),
    "long name": (pickled(named("x" * 10**5, "y")), "…, which a GPT-2's state dict does not need"),
    "name without an end": (b"\x80\2ccollections", "a name without an end"),
    "name that is not UTF-8": (b"\x80\2c\xff\nx\n", "a text that is not UTF-8"),
    "STACK_GLOBAL of a number": (pickled(integer(1) + text("x") + b"\x93"), "that is not a text"),
    "STACK_GLOBAL of os.system": (pickled(text("os") + text("system") + b"\x93"), "'os.system'"),
    "STACK_GLOBAL of one value": (pickled(text("os") + b"\x93"), "takes a value where none was"),
    "INST": (pickled(b"(ios\nsystem\n"), "opcode b'i'"),
    "OBJ": (instance(b"o"), "opcode b'o'"),
    "NEWOBJ": (instance(b"\x81"), r"opcode b'\x81'"),
    "NEWOBJ_EX": (instance(b"\x92"), r"opcode b'\x92'"),
    "EXT1": (instance(b"\x82\1"), r"opcode b'\x82'"),
    "PERSID": (instance(b"Pcmd\n"), "opcode b'P'"),
    "BYTEARRAY8": (instance(b"\x96" + bytes(8)), r"opcode b'\x96'"),
    "NEXT_BUFFER": (instance(b"\x97"), r"opcode b'\x97'"),
    "BINSTRING": (instance(b"T\4\0\0\0abcd"), "opcode b'T'"),
    "BINUNICODE8": (instance(b"\x8d" + b"\xff" * 8), r"opcode b'\x8d'"),
    "LONG4": (instance(b"\x8b\xff\xff\xff\x7f"), r"opcode b'\x8b'"),
    "INT": (instance(b"I1\n"), "opcode b'I'"),
    "LIST": (instance(b"l"), "opcode b'l'"),
    "EMPTY_SET": (instance(b"\x8f"), r"opcode b'\x8f'"),
    "DUP": (instance(b"2"), "opcode b'2'"),
    "POP": (instance(b"0"), "opcode b'0'"),
    "unknown opcode": (instance(b"\xfe"), r"opcode b'\xfe'"),
    "text longer than the pickle": (b"\x80\2X\xff\xff\xff\xff}.", "needs 4294967295 more bytes"),
    "text not UTF-8": (pickled(b"\x8c\1\xff"), "a text that is not UTF-8"),
    "half a surrogate pair": (pickled(b"\x8c\3\xed\xa0\x80"), "a text that is not UTF-8"),
    "integer of 255 bytes": (pickled(b"\x8a\xff" + bytes(255)), "a whole number of 255 bytes"),
    "integer cut short": (b"\x80\2\x8a\x08\1", "needs 8 more bytes, but 1 are left"),
    "frame longer than the pickle": (b"\x80\4\x95" + b"\xff" * 8 + b"}.", "a frame of 18446"),
    "memo never stored": (pickled(b"h\0"), "refers to value 0, which it has not stored"),
    "memo far away": (pickled(b"j\xff\xff\xff\xff"), "refers to value 4294967295"),
    "storing nothing": (pickled(b"q\0"), "takes a value where none was put"),
    "storing from below a mark": (pickled(EMPTY + b"(q\0"), "takes a value where none was put"),
    "MEMOIZE of nothing": (pickled(b"\x94"), "takes a value where none was put"),
    "tuple of nothing": (pickled(b"\x85"), "takes a value where none was put"),
    "tuple across a mark": (pickled(TRUE + b"(" + TRUE + b"\x86"), "takes a value where none"),
    "no mark": (pickled(TRUE + b"t"), "goes back to a mark where none was set"),
    "REDUCE of one value": (pickled(NO_TUPLE + b"R"), "takes a value where none was put"),
    "REDUCE of a text": (pickled(call(text("os.system"))), "calls 'os.system' with a tuple"),
    "REDUCE of a number": (pickled(call(integer(1))), "calls 1 with a tuple"),
    "REDUCE with a dict": (pickled(named(*ORDERED) + EMPTY + b"R"), "calls a Global with a d"),
    "REDUCE with None": (pickled(named(*ORDERED) + NONE + b"R"), "calls a Global with None"),
    "BUILD of a dict": (pickled(EMPTY + mapping({"_metadata": NONE}) + b"b"), "of a dict; a state"),
    "BUILD of a tuple": (pickled(NO_TUPLE + EMPTY + b"b"), "sets attributes of a tuple"),
    "BUILD of a class": (pickled(named(*ORDERED) + mapping({"_metadata": NONE}) + b"b"), "Global"),
    "BUILD with a tuple": (pickled(ORDERED_DICT + NO_TUPLE + b"b"), "attributes of an"),
    "BUILD of __class__": (
        pickled(ORDERED_DICT + mapping({"__class__": NONE}) + b"b"), "attributes of an"),
    "BUILD of more than _metadata": (
        pickled(ORDERED_DICT + mapping({"_metadata": NONE, "keys": NONE}) + b"b"),
        "has only _meta"),
    "SETITEM of a tuple": (pickled(NO_TUPLE + TRUE + TRUE + b"s"), "puts 2 keys and values into"),
    "SETITEM without a dict": (pickled(TRUE + TRUE + b"s"), "takes a value where none was put"),
    "SETITEMS of a text": (pickled(text("x") + b"(" + TRUE + TRUE + b"u"), "values into 'x'"),
    "SETITEMS of a class": (pickled(named(*ORDERED) + b"(" + TRUE + TRUE + b"u"), "into a Global"),
    "SETITEMS of three values": (pickled(EMPTY + b"(" + 3 * TRUE + b"u"), "puts 3 keys and"),
    "SETITEMS without a mark": (pickled(EMPTY + TRUE + TRUE + b"u"), "goes back to a mark"),
    "key is true": (pickled(EMPTY + TRUE + TRUE + b"s"), "True for a key"),
    "key is None": (pickled(EMPTY + NONE + TRUE + b"s"), "None for a key"),
    "key is a fraction": (pickled(EMPTY + b"G" + bytes(8) + TRUE + b"s"), "0.0 for a key"),
    "key is a list": (pickled(EMPTY + b"]" + TRUE + b"s"), "a list for a key"),
    "number as key twice": (
        pickled(EMPTY + 2 * (integer(1) + TRUE + b"s")), "the key 1 is given twice"),
    "float cut short": (b"\x80\2G\0\0.", "needs 8 more bytes"),
    "APPEND to a tuple": (pickled(NO_TUPLE + TRUE + b"a"), "appends 1 values to a tuple"),
    "APPEND to a dict": (pickled(EMPTY + TRUE + b"a"), "appends 1 values to a dict"),
    "APPEND to a text": (pickled(text("x") + TRUE + b"a"), "appends 1 values to 'x'"),
    "APPEND to nothing": (pickled(TRUE + b"a"), "takes a value where none was put"),
    "APPENDS to a class": (pickled(named(*ORDERED) + b"(" + TRUE + b"e"), "to a Global"),
    "APPENDS without a mark": (pickled(b"]" + TRUE + b"e"), "goes back to a mark where none"),
    "APPENDS below the mark": (pickled(b"(" + TRUE + b"e"), "takes a value where none was put"),
    "key is a tuple": (pickled(EMPTY + NO_TUPLE + TRUE + b"s"), "a tuple for a key"),
    "key is a dict": (pickled(EMPTY + EMPTY + TRUE + b"s"), "a dict for a key"),
    "key twice": (pickled(EMPTY + 2 * (text("a") + TRUE + b"s")), "the key 'a' is given twice"),
    "BINPERSID of nothing": (pickled(b"Q"), "takes a value where none was put"),
    "too long": (pickled(EMPTY + b"N" * PICKLE_LIMIT), f"npgpt reads at most {PICKLE_LIMIT}"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_pickles(data, said):
    with pytest.raises(CheckpointError, match=r"^it, byte \d+: ") as caught:
        read(data)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


def test_depth_and_cycles_do_no_harm():
    deep = read(pickled(NO_TUPLE + b"\x85" * 100_000))
    while deep:
        (deep,) = deep
    cycle = read(pickled(EMPTY + b"q\0" + text("self") + b"h\0s"))
    assert cycle["self"] is cycle


@given(
    st.binary(max_size=40)
    | st.text(alphabet='}()tuNq\0h\1bRQsX"\x85\x86\x94', max_size=40).map(
        lambda s: s.encode("latin1")
    )
)
def test_any_bytes_are_read_or_refused(data):
    for whole in (data, pickled(data)):
        try:
            value = read(whole)
        except CheckpointError:
            continue
        assert isinstance(value, PLAIN)


@given(values, st.integers(2, 5), st.data())
def test_a_pickle_with_some_bytes_changed(value, protocol, data):
    changed = bytearray(pickle.dumps(value, protocol))
    for place in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(changed))
    except CheckpointError:
        return
    assert isinstance(found, PLAIN)
