import dataclasses
import inspect
from fractions import Fraction

import numpy as np
import pytest

from npgpt.decoding.settings import Settings, from_keywords
from npgpt.errors import SettingError

INF, NAN = float("inf"), float("nan")
SAMPLE = {"do_sample": True}
NAMES = [field.name for field in dataclasses.fields(Settings)]

# name -> values that it cannot take, whatever else is given
BAD_VALUES = {
    "do_sample": [0, 1, "yes", 1.0],
    "output_scores": [1, "yes"],
    "temperature": [-1, -1e-300, NAN, INF, -INF, True, "1.0", [1.0], 1j, 10**400],
    "top_k": [0, -1, 1.0, True, "5", NAN],
    "top_p": [0, 0.0, -0.1, 1.5, np.nextafter(1.0, 2.0), NAN, INF, True, "0.9"],
    "repetition_penalty": [0, 0.0, -1.0, NAN, INF, True, "1.2"],
    "max_length": [0, -1, 5.0, True, "5"],
    "max_new_tokens": [0, -1, 5.0, True, "5"],
    "min_length": [-1, 5.0, True, "5"],
    "min_new_tokens": [-1, 5.0, True, "5"],
    "eos_token_id": [-1, 1.0, True, "1", [1, -1], [True], {1, 2}, b"\x01", [[1]]],
    "pad_token_id": [-1, 0.5, True, "0", [0]],
    "stop_strings": ["", ["a", ""], 5, ["a", 5], b"a", {"a"}],
}
TABLE = [(name, value) for name, values in BAD_VALUES.items() for value in values]


@pytest.mark.parametrize(("name", "value"), TABLE, ids=lambda value: repr(value)[:20])
def test_a_bad_value_is_named_and_quoted(name, value):
    with pytest.raises(SettingError) as caught:
        Settings(**{**SAMPLE, name: value})
    quoted = [value, *value] if isinstance(value, (list, tuple)) else [value]
    message = str(caught.value)
    assert message.startswith(f"{name} is ")
    assert any(f"{one!r}" in message for one in quoted)
    assert "give " in message


def test_every_setting_is_in_the_table():
    assert set(BAD_VALUES) == set(NAMES)


CONTRADICTIONS = [
    ({"temperature": 0.7}, "temperature", "0.7", "do_sample=True"),
    ({"top_k": 5, "do_sample": False}, "top_k", "5", "do_sample=True"),
    ({"top_p": 1.0}, "top_p", "1.0", "do_sample=True"),
    ({"max_length": 9, "max_new_tokens": 4}, "max_length is 9", "max_new_tokens is 4", "one of"),
    ({"min_length": 6, "max_length": 5}, "min_length is 6", "max_length = 5", "lower"),
    ({"min_new_tokens": 6, "max_new_tokens": 5}, "min_new_tokens is 6", "= 5", "lower"),
    ({"min_new_tokens": 5, "max_length": 5}, "min_new_tokens is 5", "= 5", "lower"),
]


@pytest.mark.parametrize(("given", "first", "second", "advice"), CONTRADICTIONS)
def test_a_contradiction_names_both_sides(given, first, second, advice):
    with pytest.raises(SettingError) as caught:
        Settings(**given)
    for part in (first, second, advice):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": 0},
        {"temperature": 1.0},
        {"temperature": 0.0, **SAMPLE, "top_k": 3},
        {"top_p": 1, **SAMPLE},
        {"top_p": 5e-324, **SAMPLE},
        {"repetition_penalty": 1e-300},
        {"min_length": 5, "max_length": 5},
        {"min_new_tokens": 5, "max_new_tokens": 5},
        {"min_new_tokens": 4, "max_length": 5},
        {"min_length": 9, "min_new_tokens": 9},
        {"eos_token_id": []},
    ],
)
def test_what_contradicts_nothing_is_taken(given):
    made = Settings(**given)
    assert all(getattr(made, name) == _plain(value) for name, value in given.items())


def _plain(value):
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("top_k", np.int32(5), 5),
        ("top_p", np.float32(0.5), 0.5),
        ("top_p", Fraction(1, 4), 0.25),
        ("temperature", np.int64(2), 2.0),
        ("do_sample", np.True_, True),
        ("max_length", np.uint8(7), 7),
        ("eos_token_id", np.int64(3), 3),
        ("eos_token_id", [np.int64(3), 4, 3], (3, 4)),
        ("stop_strings", "ab", ("ab",)),
        ("stop_strings", ["a", "b"], ("a", "b")),
    ],
)
def test_values_become_plain_python(name, value, plain):
    got = getattr(Settings(**{**SAMPLE, name: value}), name)
    assert got == plain
    assert type(got) is type(plain)


def test_none_is_not_given():
    assert Settings(**dict.fromkeys(NAMES)) == Settings()


def test_settings_are_keywords_and_frozen():
    kinds = {parameter.kind for parameter in inspect.signature(Settings).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().top_k = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "draws"),
    [
        ({}, False),
        ({"temperature": 0}, False),
        (SAMPLE, True),
        ({**SAMPLE, "temperature": 0}, False),
    ],
)
def test_temperature_0_is_greedy(given, draws):
    assert Settings(**given).draws is draws


@pytest.mark.parametrize(
    ("eos", "ids"), [(None, ()), (3, (3,)), ((), ()), ([3], (3,)), ((4, 3, 4), (4, 3))]
)
def test_eos_ids(eos, ids):
    assert Settings(eos_token_id=eos).eos_token_ids == ids


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("topp", "top_p"), ("max_tokens", "max_new_tokens"), ("temprature", "temperature")],
)
def test_an_unknown_name_gets_the_nearest_known_one(name, nearest):
    with pytest.raises(SettingError) as caught:
        from_keywords(**{name: 0.25})
    for part in (name, "0.25", f"{nearest!r}"):
        assert part in str(caught.value)


def test_a_name_like_no_other_gets_the_list():
    with pytest.raises(SettingError) as caught:
        from_keywords(zzz=1)
    assert all(name in str(caught.value) for name in NAMES)


def test_known_names_become_settings():
    given = {"do_sample": True, "top_k": 7, "max_length": 5}
    assert from_keywords(**given) == Settings(**given)
