import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._files import JSON_LIMIT, parse_json, parse_json_object
from npgpt.errors import CheckpointError

BAD = {
    "nothing": (b"", "not JSON"),
    "cut short": (b'{"a": [1, 2', "not JSON"),
    "two values": (b"{} {}", "Extra data"),
    "not UTF-8": (b'{"\xff": 1}', "not UTF-8: invalid start byte at byte 2"),
    "UTF-16": ("{}".encode("utf-16"), "not UTF-8"),
    "surrogate in UTF-8": (b'"\xed\xa0\x80"', "not UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "NUL": (b'{"a": 1}\0', "not JSON"),
    "twice": (b'{"a": 1, "b": 2, "a": 1}', "the field 'a' is given twice"),
    "twice, spelled differently": (b'{"a": 1, "\\u0061": 2}', "the field 'a' is given twice"),
    "twice, deep down": (b'[{"b": {"a": 1, "a": 1}}]', "the field 'a' is given twice"),
    "NaN": (b"[NaN]", "NaN is not JSON"),
    "infinity": (b"-Infinity", "-Infinity is not JSON"),
    "infinity in disguise": (b"1e999", "1e999 is too large"),
    "endless number": (b"1" * 5000, "a number of 5000 characters"),
    "endless fraction": (b"0." + b"1" * 5000, "a number of 5002 characters"),
    "half a pair for a name": (b'{"\\ud800": 1}', "half a surrogate pair"),
    "half a pair for a value": (b'{"a": "x\\udc00"}', "half a surrogate pair"),
    "half a pair in a list": (b'[[{"a": ["\\uD800"]}]]', "half a surrogate pair"),
    "half a pair after a backslash": (b'["\\\\\\udbff"]', "half a surrogate pair"),
    "halves the wrong way round": (b'["\\ude00\\ud83d"]', "half a surrogate pair"),
    "half a pair alone": (b'"\\udfff"', "half a surrogate pair"),
    "too deep": (b"[" * (10 * sys.getrecursionlimit()), "nested too deeply"),
    "too deep, objects": (b'{"":' * (10 * sys.getrecursionlimit()), "nested too deeply"),
    "one level too deep": (b"[" * 101 + b"]" * 101, "npgpt follows 100 levels"),
    "one level too deep, objects": (b'{"":' * 101 + b"1" + b"}" * 101, "follows 100 levels"),
    "control character": (b'"\n"', "Invalid control character"),
    "comment": (b"{} // no", "Extra data"),
    "too long": (
        b" " * (JSON_LIMIT + 1),
        f"{JSON_LIMIT + 1} bytes of JSON; npgpt reads at most {JSON_LIMIT}",
    ),
}


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_texts(data, said):
    with pytest.raises(CheckpointError) as caught:
        parse_json(data, "there")
    assert str(caught.value).startswith("there: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(("data", "form"), [(b"[]", "list"), (b"1", "int"), (b"null", "NoneType")])
def test_anything_but_an_object(data, form):
    with pytest.raises(CheckpointError, match=f"there: holds a {form}; expected a JSON object"):
        parse_json_object(data, "there")


def test_a_hundred_levels_are_read():
    assert parse_json(b"[" * 100 + b"1" + b"]" * 100, "there")
    assert parse_json(b'{"":' * 100 + b"1" + b"}" * 100, "there")


def test_whole_pairs_and_escaped_backslashes_are_no_halves():
    assert parse_json(rb'["\ud83d\uDE00", "\\ud800", "\ud7ff\ue000"]', "there") == [
        "\U0001f600", "\\ud800", "\ud7ff\ue000"]  # fmt: skip


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)  # fmt: skip


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_what_python_writes_is_read_back(value, ascii_only, indent):
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse_json(data, "there") == value


@given(st.binary(max_size=30) | st.text(alphabet='{}[]",:0123.eE+-\\u aNtrfl', max_size=30))
def test_whatever_is_accepted_means_what_python_says(data):
    data = data.encode() if isinstance(data, str) else data
    try:
        value = parse_json(data, "there")
    except CheckpointError:
        return
    assert repr(value) == repr(json.loads(data))
