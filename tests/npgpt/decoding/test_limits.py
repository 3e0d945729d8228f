import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._prompts import row_limits
from npgpt.decoding._settings import Settings
from npgpt.errors import ContextLengthError, SettingError

LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=3)


@given(lengths=LENGTHS, kind=st.sampled_from(["max_length", "max_new_tokens"]), data=st.data())
def test_limit_context_and_minimum_against_counting(lengths, kind, data):
    most = data.draw(st.integers(1, 8))
    least, new = data.draw(st.integers(0, most)), data.draw(st.integers(0, most - 1))
    context = data.draw(st.none() | st.integers(1, 12))
    settings = Settings(**{kind: most, "min_length": least, "min_new_tokens": new})

    def outcome(length):
        limit = most if kind == "max_length" else length + most
        if limit <= length:
            return SettingError
        if context is not None and limit > context:
            return ContextLengthError
        return SettingError if limit < least or limit < length + new else limit

    outcomes = [outcome(length) for length in lengths]
    errors = [error for error in outcomes if not isinstance(error, int)]
    prompts = tuple((0,) * length for length in lengths)
    if errors:
        with pytest.raises(errors[0]):
            row_limits(prompts, settings, context_length=context)
    else:
        assert list(row_limits(prompts, settings, context_length=context)) == outcomes


def test_without_a_limit_the_context_is_filled():
    assert row_limits(((1, 1), (1,)), Settings(), context_length=5) == (5, 5)


@pytest.mark.parametrize(
    ("given_", "context", "error", "parts"),
    [
        ({}, None, SettingError, ["max_length", "max_new_tokens", "context_length"]),
        ({"max_length": 3}, None, SettingError, ["max_length is 3", "row 1", "3 tokens", "4"]),
        ({"max_length": 1}, 9, SettingError, ["max_length is 1", "2 tokens", "max_new_tokens"]),
        ({"max_new_tokens": 3}, 5, ContextLengthError, ["row 1", "reach 6", "holds 5", "2 new"]),
        ({"max_length": 6}, 5, ContextLengthError, ["reach 6", "holds 5", "3 new tokens fit"]),
        ({}, 3, ContextLengthError, ["row 1", "3 tokens", "0 new tokens fit", "shorten"]),
        ({}, 2, ContextLengthError, ["2 tokens", "0 new tokens fit", "shorten"]),
        ({"min_length": 6}, 5, SettingError, ["min_length = 6", "5"]),
        ({"min_new_tokens": 3}, 5, SettingError, ["row 1", "min_new_tokens = 3", "5"]),
        ({"min_new_tokens": 2, "max_length": 4}, 5, SettingError, ["row 1", "ends at 4"]),
        ({"min_length": 6, "max_new_tokens": 3}, 9, SettingError, ["row 0", "ends at 5"]),
    ],
)
def test_what_does_not_fit_is_explained(given_, context, error, parts):
    with pytest.raises(error) as caught:
        row_limits(((1, 1), (1, 1, 1)), Settings(**given_), context_length=context)
    for part in parts:
        assert part in str(caught.value)


def test_prompt_and_new_tokens_may_fill_the_context():
    settings = Settings(max_new_tokens=2)
    assert row_limits(((1, 1, 1),), settings, context_length=5) == (5,)
