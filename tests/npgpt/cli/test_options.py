import dataclasses
from argparse import ArgumentParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.cli.options import add_settings, settings
from npgpt.decoding.settings import Settings

REAL = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(0, 10**12)
OR_NONE = {bool: st.booleans(), float: REAL | st.none(), int: WHOLE | st.none()}
# What an option of each setting's kind can say.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "do_sample": OR_NONE[bool],
    "temperature": OR_NONE[float],
    "top_k": OR_NONE[int],
    "top_p": OR_NONE[float],
    "repetition_penalty": OR_NONE[float],
    "max_length": OR_NONE[int],
    "max_new_tokens": OR_NONE[int],
    "min_length": OR_NONE[int],
    "min_new_tokens": OR_NONE[int],
    "eos_token_id": st.lists(WHOLE),
    "pad_token_id": OR_NONE[int],
    "stop_strings": st.lists(st.text(), min_size=1),
    "output_scores": OR_NONE[bool],
}


def parsed(argv: list[str]) -> dict[str, Any]:
    parser = ArgumentParser()
    add_settings(parser)
    return settings(parser.parse_args(argv))


def options(name: str, value: Any) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if name == "stop_strings":
        return [f"--{option}={text}" for text in value]
    if isinstance(value, list):
        return [f"--{option}={' '.join(map(str, value)) or 'none'}"]
    return [f"--{option}={'none' if value is None else repr(value)}"]


def test_every_setting_is_tested() -> None:
    assert set(VALUES) == {field.name for field in dataclasses.fields(Settings)}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_options_say_what_settings_say(given_settings: dict[str, Any]) -> None:
    argv = [word for name, value in given_settings.items() for word in options(name, value)]
    assert parsed(argv) == given_settings


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
