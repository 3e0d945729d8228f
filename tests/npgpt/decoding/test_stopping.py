import pytest

from npgpt.decoding._decoders import prepare
from npgpt.decoding._request import stop_reason
from npgpt.decoding._scoring import Row
from npgpt.decoding._settings import Settings

SPELLING = ["a", "b", "ab", " "]


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ([0, 3, 0], None),
        ([0, 3, 1], "eos"),
        ([0, 1, 3], "stop_string"),  # after the last token, "b ": the match may end before it
        ([0, 1], "stop_string"),  # the prompt's "a" is no part of it, but "b" alone is one
        ([0, 3, 3, 3], "length"),
        ([0, 3, 3, 1], "eos"),
        ([0, 3, 0, 2], "stop_string"),
    ],
)
def test_eos_comes_before_stop_strings_before_length(tokens, reason):
    settings = Settings(eos_token_id=1, stop_strings=["aab", "b "], max_length=4)
    if reason == "stop_string" and tokens[:2] == [0, 1]:
        settings = Settings(stop_strings=["b"], max_length=4)
    problem = prepare([0], settings, decode=lambda ids: "".join(SPELLING[i] for i in ids))
    assert stop_reason(problem, Row(tokens, 1, limit=4)) == reason


def test_the_prompt_is_not_searched():
    settings = Settings(stop_strings=["ab"], max_length=4)
    problem = prepare([0], settings, decode=lambda ids: "".join(SPELLING[i] for i in ids))
    assert stop_reason(problem, Row([0, 1], 1, limit=4)) is None
    assert stop_reason(problem, Row([2, 0], 1, limit=4)) is None
    assert stop_reason(problem, Row([2, 0, 1], 1, limit=4)) == "stop_string"


def test_without_stop_strings_nothing_is_decoded():
    problem = prepare([0], Settings(max_length=4), decode=lambda ids: 1 / 0)
    assert stop_reason(problem, Row([0, 1], 1, limit=4)) is None
