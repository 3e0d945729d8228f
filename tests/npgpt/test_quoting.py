import pytest

from npgpt._quoting import LONGEST, kind, quoted


def test_control_characters_are_escaped():
    assert quoted("\x1b[2J\r\n") == r"'\x1b[2J\r\n'"


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1])
def test_only_what_is_too_long_is_cut(length):
    assert quoted("x" * length).endswith("…") == (length > LONGEST)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "True"),
        (-3, "-3"),
        (2.5, "2.5"),
        ([], "a list"),
        ({}, "a dict"),
        (-(2**70), "an int"),
    ],
)
def test_kind(value, said):
    assert kind(value) == said
