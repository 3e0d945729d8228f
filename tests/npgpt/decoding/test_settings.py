import dataclasses
import inspect
from fractions import Fraction

import numpy as np
import pytest

from npgpt.decoding._settings import Settings
from npgpt.errors import SettingError

INF, NAN = float("inf"), float("nan")
SAMPLE = {"do_sample": True}
BEAMS = {"num_beams": 4}
GROUPS = {**BEAMS, "num_beam_groups": 2, "diversity_penalty": 0.5}
CONTRAST = {"penalty_alpha": 0.6, "top_k": 4}
LOOKUP = {"prompt_lookup_num_tokens": 3}
NAMES = [field.name for field in dataclasses.fields(Settings)]

# name -> values that it cannot take, whatever else is given
BAD_VALUES = {
    "do_sample": [0, 1, "yes", 1.0],
    "output_scores": [1, "yes"],
    "temperature": [-1, -1e-300, NAN, INF, -INF, True, "1.0", [1.0], 1j],
    "top_k": [0, -1, 1.0, True, "5", NAN],
    "top_p": [0, 0.0, -0.1, 1.5, np.nextafter(1.0, 2.0), NAN, INF, True, "0.9"],
    "repetition_penalty": [0, 0.0, -1.0, NAN, INF, True, "1.2", 1e-31, 1e31],
    "max_length": [0, -1, 5.0, True, "5"],
    "max_new_tokens": [0, -1, 5.0, True, "5"],
    "min_length": [-1, 5.0, True, "5"],
    "min_new_tokens": [-1, 5.0, True, "5"],
    "eos_token_id": [-1, 1.0, True, "1", [1, -1], [True], {1, 2}, b"\x01", [[1]]],
    "pad_token_id": [-1, 0.5, True, "0", [0]],
    "stop_strings": ["", ["a", ""], 5, ["a", 5], b"a", {"a"}],
    "num_beams": [0, -1, 2.0, True, 4097],
    "num_beam_groups": [0, -1, 2.0, True],
    "force_words_ids": [[], [[]], 5, "a", [5], [[[1], []]], [[1, [2]]], [[-1]], [[1.0]], [["a"]]],
    "penalty_alpha": [0, -0.1, 1.5, NAN, True, "0.6"],
    "prompt_lookup_num_tokens": [0, -1, 2.0, True],
    "diversity_penalty": [-0.1, NAN, INF, True, "1", 1e31],
    "length_penalty": [NAN, INF, True, "1", 101, -100.5],
    "early_stopping": ["always", 0, 1, 0.5],
    "force_words_in_prompt": [1, "yes"],
    "num_assistant_tokens": [0, -1, 2.0, True],
    "max_matching_ngram_size": [0, -1, 2.0, True],
    "num_return_sequences": [0, -1, 2.0, True, 65537],
    "guidance_scale": [-1.0, -1e-9, 1e31, NAN, INF, True, "1.5"],
    "sequence_bias": [
        5,
        "a",
        {(): 1.0},
        {5: 1.0},
        {(1,): NAN},
        {(1,): INF},
        {(-1,): 1.0},
        [[1, 2]],
    ],
    "logit_bias": [5, {"1": 1.0}, {1: NAN}, {1: INF}, {1: "a"}, {-1: 1.0}, [[1, 2, 3]], [1]],
    "frequency_penalty": [NAN, INF, True, "1", -1e31],
    "presence_penalty": [NAN, INF, True, "1", 1e31],
    "no_repeat_ngram_size": [0, -1, 2.0, True, "2"],
    "bad_words_ids": [5, [5], [[]], [[1], []], [[-1]], [["a"]], "a"],
    "prefix_allowed_tokens_fn": [5, [1, 2]],
    "forced_bos_token_id": [-1, 1.0, True, [1]],
    "forced_eos_token_id": [-1, 1.0, True, [-1]],
    "exponential_decay_length_penalty": [
        5,
        [5],
        [-1, 1.1],
        [1.0, 1.1],
        [1, 0],
        [1, NAN],
        [1, 2, 3],
    ],
    "suppress_tokens": [5, [-1], [1.0], "a"],
    "begin_suppress_tokens": [5, [-1], [True]],
    "logits_processor": [5, [5], "a"],
    "top_h": [0, -0.1, 1.5, NAN, True],
    "min_p": [-0.1, 1.5, NAN, True],
    "typical_p": [0, 1.5, NAN, True],
    "epsilon_cutoff": [-0.1, 1, NAN, True],
    "eta_cutoff": [-0.1, 1.0, NAN, True],
    "output_ledger": [1, "yes"],
}
TABLE = [(name, value) for name, values in BAD_VALUES.items() for value in values]


@pytest.mark.parametrize(("name", "value"), TABLE, ids=lambda value: repr(value)[:20])
def test_a_bad_value_is_named_and_quoted(name, value):
    with pytest.raises(SettingError) as caught:
        Settings(**{**SAMPLE, name: value})
    quoted = list(_parts(value))
    message = str(caught.value)
    assert message.startswith(f"{name} is ")
    assert any(f"{one!r}" in message for one in quoted)
    assert "give " in message


def _parts(value):
    """The value and all that it holds: any of them may be the one that is quoted."""
    yield value
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for item in value:
            yield from _parts(item)


def test_every_setting_is_in_the_table():
    assert set(BAD_VALUES) == set(NAMES)


CONTRADICTIONS = [
    ({"temperature": 0.7}, "temperature", "0.7", "do_sample=True"),
    ({"top_k": 5, "do_sample": False}, "top_k", "5", "do_sample=True"),
    ({"top_p": 0.9}, "top_p", "0.9", "do_sample=True"),
    ({"max_length": 9, "max_new_tokens": 4}, "max_length is 9", "max_new_tokens is 4", "one of"),
    ({"min_length": 6, "max_length": 5}, "min_length is 6", "max_length = 5", "lower"),
    ({"min_new_tokens": 6, "max_new_tokens": 5}, "min_new_tokens is 6", "= 5", "lower"),
    ({"min_new_tokens": 5, "max_length": 5}, "min_new_tokens is 5", "= 5", "lower"),
    ({"min_p": 0.1}, "min_p", "0.1", "do_sample=True"),
    ({"typical_p": 0.9}, "typical_p", "0.9", "do_sample=True"),
    ({"top_h": 0.4}, "top_h", "0.4", "do_sample=True"),
    ({"epsilon_cutoff": 0.1}, "epsilon_cutoff", "0.1", "do_sample=True"),
    ({"eta_cutoff": 0.1}, "eta_cutoff", "0.1", "do_sample=True"),
    ({"length_penalty": 2.0}, "length_penalty", "2.0", "num_beams to 2"),
    ({"early_stopping": True}, "early_stopping", "True", "num_beams to 2"),
    ({"num_beam_groups": 2}, "num_beam_groups", "2", "num_beams to 2"),
    ({"force_words_ids": [[1]]}, "force_words_ids", "(((1,),),)", "num_beams to 2"),
    ({"num_beams": 4, "diversity_penalty": 0.5}, "diversity_penalty", "0.5", "num_beam_groups"),
    ({**BEAMS, "num_beam_groups": 2}, "num_beam_groups is 2", "diversity_penalty is 0", "above 0"),
    ({**GROUPS, "num_beams": 5}, "num_beams is 5", "num_beam_groups is 2", "multiple of 2"),
    ({**GROUPS, **SAMPLE}, "num_beam_groups is 2", "do_sample is True", "leave one"),
    ({**GROUPS, "force_words_ids": [[1]]}, "num_beam_groups is 2", "force_words_ids", "leave one"),
    ({**BEAMS, **SAMPLE, "force_words_ids": [[1]]}, "force_words_ids", "do_sample is True", "one"),
    ({**BEAMS, "num_return_sequences": 5}, "num_return_sequences is 5", "num_beams is 4", "most"),
    ({"num_return_sequences": 2}, "num_return_sequences is 2", "all be equal", "do_sample=True"),
    ({"num_beams": 2, "force_words_ids": [[1, 2]], "eos_token_id": 2}, "[1, 2]", "2", "leave"),
    ({**BEAMS, "force_words_in_prompt": True}, "force_words_in_prompt", "force_words_ids", "leave"),
    ({"penalty_alpha": 0.5}, "penalty_alpha is 0.5", "top_k is None", "2 or more"),
    ({"penalty_alpha": 0.5, "top_k": 1}, "penalty_alpha is 0.5", "top_k is 1", "2 or more"),
    ({**CONTRAST, **SAMPLE}, "penalty_alpha is 0.6", "do_sample is True", "leave one"),
    ({**CONTRAST, **BEAMS}, "penalty_alpha is 0.6", "num_beams is 4", "leave one"),
    ({**CONTRAST, **LOOKUP}, "penalty_alpha is 0.6", "prompt_lookup_num_tokens is 3", "leave one"),
    ({**BEAMS, **LOOKUP}, "prompt_lookup_num_tokens is 3", "num_beams is 4", "leave one"),
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
        {"repetition_penalty": 1e-30},
        {"min_length": 5, "max_length": 5},
        {"min_new_tokens": 5, "max_new_tokens": 5},
        {"min_new_tokens": 4, "max_length": 5},
        {"min_length": 9, "min_new_tokens": 9},
        {"eos_token_id": []},
        CONTRAST,
        GROUPS,
        {**BEAMS, **SAMPLE, "top_k": 5, "num_return_sequences": 4},
        {**LOOKUP, **SAMPLE, "num_return_sequences": 3},
        {**BEAMS, "length_penalty": -1.5, "early_stopping": "never"},
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
        ("output_scores", np.True_, True),
        ("max_length", np.uint8(7), 7),
        ("eos_token_id", np.int64(3), 3),
        ("eos_token_id", [np.int64(3), 4, 3], (3, 4)),
        ("stop_strings", "ab", ("ab",)),
        ("stop_strings", ["a", "b"], ("a", "b")),
        ("bad_words_ids", [[1, 2], np.array([3])], ((1, 2), (3,))),
        ("suppress_tokens", [3, 1, 3], (3, 1)),
        ("sequence_bias", {(1, 2): 0.5, (3,): -INF}, (((1, 2), 0.5), ((3,), -INF))),
        ("sequence_bias", [[[1, 2], 0.5], [[1, 2], 1]], (((1, 2), 1.5),)),
        ("logit_bias", {1: 2, np.int64(3): -0.5}, ((1, 2.0), (3, -0.5))),
        ("exponential_decay_length_penalty", [5, 2], (5, 2.0)),
        ("early_stopping", "never", "never"),
    ],
)
def test_values_become_plain_python(name, value, plain):
    got = getattr(Settings(**SAMPLE, num_beams=2, **{name: value}), name)
    assert got == plain
    assert type(got) is type(plain)


def test_constraints_are_alternatives_of_phrases():
    given = [[1, 2], [[3], [4, 5], [3]]]
    made = Settings(num_beams=2, force_words_ids=given).force_words_ids
    assert made == (((1, 2),), ((3,), (4, 5)))


def test_functions_are_kept():
    def one(rows, scores):
        return scores

    assert Settings(logits_processor=one).logits_processor == (one,)
    assert Settings(logits_processor=[one, one]).logits_processor == (one, one)
    assert Settings(prefix_allowed_tokens_fn=max).prefix_allowed_tokens_fn is max


def test_none_is_not_given():
    assert Settings(**dict.fromkeys(NAMES)) == Settings()


@pytest.mark.parametrize("given", [{}, SAMPLE, GROUPS, CONTRAST, {"logit_bias": {1: 0.5}}], ids=str)
def test_what_is_shown_makes_the_same_settings(given):
    made = Settings(**given)
    assert eval(repr(made)) == made
    assert hash(eval(repr(made))) == hash(made)
    assert len(repr(made)) < 80


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
        Settings(**{name: 0.25})
    for part in (name, "0.25", f"{nearest!r}"):
        assert part in str(caught.value)


def test_a_name_like_no_other_gets_the_list():
    with pytest.raises(SettingError) as caught:
        Settings(zzz=1)
    assert all(name in str(caught.value) for name in NAMES)


def test_known_names_become_settings():
    given = {"do_sample": True, "top_k": 7, "max_length": 5}
    made = Settings(**given)
    assert {name: getattr(made, name) for name in given} == given
