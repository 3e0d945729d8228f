import dataclasses
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._cli.options import add_settings, settings
from npgpt.decoding._settings import Settings

REAL = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(0, 10**12)
IDS = st.lists(WHOLE)
PHRASES = st.lists(st.lists(WHOLE, min_size=1), min_size=1)
OR_NONE = {bool: st.booleans(), float: REAL | st.none(), int: WHOLE | st.none()}
# What an option of each setting's kind can say: those named here, the others by their type.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "eos_token_id": IDS,
    "forced_eos_token_id": IDS,
    "suppress_tokens": IDS,
    "begin_suppress_tokens": IDS,
    "stop_strings": st.lists(st.text().filter(lambda t: t != "none"), min_size=1),
    "bad_words_ids": PHRASES,
    "force_words_ids": st.lists(PHRASES, min_size=1),
    "sequence_bias": st.lists(st.tuples(st.lists(WHOLE, min_size=1), REAL), min_size=1),
    "logit_bias": st.lists(st.tuples(WHOLE, REAL), min_size=1),
    "exponential_decay_length_penalty": st.tuples(WHOLE, REAL) | st.none(),
    "early_stopping": st.sampled_from([True, False, "never", None]),
}
# Functions have no option, and --explain stands for the ledger.
NO_OPTION = {"prefix_allowed_tokens_fn", "logits_processor", "output_ledger"}
KINDS = {bool: bool, int: int, int | None: int, float: float, float | None: float}
for field in dataclasses.fields(Settings):
    if field.name not in VALUES.keys() | NO_OPTION and field.type in KINDS:
        VALUES[field.name] = OR_NONE[KINDS[field.type]]


def parsed(argv: list[str]) -> dict[str, Any]:
    parser = ArgumentParser()
    add_settings(parser)
    return settings(parser.parse_args(argv))


def options(name: str, value: Any) -> list[str]:
    option = name.replace("_", "-")
    if name == "early_stopping":
        value = {True: "true", False: "false"}.get(value, value)
        return [f"--{option}={'none' if value is None else value}"]
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if name in SPELLED:
        return [f"--{option}={SPELLED[name](item)}" for item in value]
    if isinstance(value, list | tuple):
        return [f"--{option}={spaced(value) or 'none'}"]
    return [f"--{option}={'none' if value is None else repr(value)}"]


def spaced(values: Sequence[Any]) -> str:
    return " ".join(map(repr, values))


# Settings of several items, each an option of its own.
SPELLED: dict[str, Callable[[Any], str]] = {
    "stop_strings": str,
    "bad_words_ids": spaced,
    "force_words_ids": lambda alternatives: " | ".join(map(spaced, alternatives)),
    "sequence_bias": lambda pair: f"{spaced(pair[0])}={pair[1]!r}",
    "logit_bias": lambda pair: f"{pair[0]}={pair[1]!r}",
}


def test_every_setting_is_tested() -> None:
    assert set(VALUES) | NO_OPTION == {field.name for field in dataclasses.fields(Settings)}
    assert not set(VALUES) & NO_OPTION


@pytest.mark.parametrize("name", sorted(NO_OPTION))
def test_what_has_no_option_is_no_option(name: str) -> None:
    with pytest.raises(SystemExit):
        parsed([f"--{name.replace('_', '-')}=1"])


@hypothesis.settings(max_examples=50)  # each alone is tested below
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_options_say_what_settings_say(given_settings: dict[str, Any]) -> None:
    argv = [word for name, value in given_settings.items() for word in options(name, value)]
    assert parsed(argv) == {k: None if v == [] else v for k, v in given_settings.items()}


@pytest.mark.parametrize(
    ("argv", "ids"),
    [
        (["--eos-token-id", "1", "--eos-token-id", "2"], [1, 2]),
        (["--eos-token-id", "1 2"], [1, 2]),
        (["--eos-token-id", "1, 2", "--eos-token-id", "3"], [1, 2, 3]),
    ],
)
def test_ids_may_be_several_and_repeated(argv: list[str], ids: list[int]) -> None:
    assert parsed(argv) == {"eos_token_id": ids}


def test_the_last_of_a_flag_and_its_opposite_holds() -> None:
    assert parsed(["--do-sample", "--no-do-sample"]) == {"do_sample": False}
    assert parsed(["--no-do-sample", "--do-sample"]) == {"do_sample": True}


@pytest.mark.parametrize("name", sorted(VALUES))
def test_none_switches_every_setting_off(name: str) -> None:
    if VALUES[name] is OR_NONE[bool]:
        pytest.skip("a flag has an opposite")
    assert parsed([f"--{name.replace('_', '-')}=none"]) == {name: None}
