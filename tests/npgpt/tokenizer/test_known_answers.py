"""Ids that OpenAI's GPT-2 gives."""

import pytest

from tests.helpers.reference_tokenizers import gpt2

ANSWERS = {
    "": [],
    " ": [220],
    "  ": [220, 220],
    "Hello": [15496],
    "hello": [31373],
    " hello": [23748],
    "  hello": [220, 23748],
    "   hello": [220, 220, 23748],
    "ItemThumbnailImage": [39177],
    "rawdownloadcloneembedreportprint": [30906],
    " chartreuse": [8262, 260, 1904],
    "My favorite color is chartreuse": [3666, 4004, 3124, 318, 8262, 260, 1904],
    "A long long time ago": [32, 890, 890, 640, 2084],
    "A long long time ago, ": [32, 890, 890, 640, 2084, 11, 220],
    "It will rain in the": [1026, 481, 6290, 287, 262],
    "I want to eat a big bowl of": [40, 765, 284, 4483, 257, 1263, 9396, 286],
    "My dog is": [3666, 3290, 318],
}


@pytest.mark.parametrize(("text", "ids"), ANSWERS.items())
def test_ids(text: str, ids: list[int]) -> None:
    assert gpt2().encode(text) == ids
    assert gpt2().decode(ids) == text


def test_end_of_text() -> None:
    assert gpt2().vocab_size == 50257
    assert gpt2().end_of_text == 50256
    assert gpt2().encode("<|endoftext|>", allowed_special="all") == [50256]
    assert gpt2().encode("<|endoftext|>", allowed_special={"<|endoftext|>"}) == [50256]
    assert gpt2().encode("<|endoftext|>") == [27, 91, 437, 1659, 5239, 91, 29]
    assert gpt2().decode([50256]) == "<|endoftext|>"
