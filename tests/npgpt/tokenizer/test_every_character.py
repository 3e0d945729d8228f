"""All 1,112,064 characters of Unicode, each alone and in context."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helpers.reference_tokenizers import (
    END_OF_TEXT,
    gpt2,
    gpt2_hugging_face_special,
    gpt2_tiktoken,
)

CHUNK = 1 << 14

SCALARS = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
# This has all white space and the apostrophe; the other planes have letters, numbers and others.
BASIC_PLANE = [character for character in SCALARS if ord(character) < 0x10000]


def apart(character: str) -> str:
    """The character alone, then after a letter, after a space, and before one.

    The special token keeps each apart from the others.
    """
    return f"{character}{END_OF_TEXT}a{character} {character} x{END_OF_TEXT}"


def in_lines(character: str) -> str:
    """The same with line breaks for special tokens, which takes a third of the time.

    Both keep apart what is no white space; and only the basic plane has any.
    """
    return f"{character}\na{character} {character} x\n"


def check(text: str) -> None:
    """Ours on one core while Hugging Face's, which is slower, is on another."""
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(gpt2_hugging_face_special().encode_batch_fast, [text])
        ids = gpt2().encode(text, allowed_special="all")
        assert ids == gpt2_tiktoken().encode(text, allowed_special="all")
        assert gpt2().decode(ids) == text
        (encoding,) = theirs.result()
    assert ids == encoding.ids


def test_there_are_as_many_characters_as_unicode_says() -> None:
    assert len(SCALARS) == 1_112_064


@pytest.mark.parametrize(("context", "characters"), [(apart, BASIC_PLANE), (in_lines, SCALARS)])
def test_ids_are_those_of_tiktoken_and_hugging_face(
    context: Callable[[str], str], characters: list[str]
) -> None:
    for start in range(0, len(characters), CHUNK):
        check("".join(map(context, characters[start : start + CHUNK])))
