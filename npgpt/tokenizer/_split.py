"""Pre-tokenizer of GPT-2: text cut into words, which merging never crosses."""

import functools
import re

from npgpt.tokenizer._unicode_table import LETTERS, NUMBERS

# The property White_Space, the same since Unicode 6.3. Python's own \s takes U+001C to U+001F too.
WHITE_SPACE = "9-D 20 85 A0 1680 2000-200A 2028-2029 202F 205F 3000"

_ASTRAL = 0x10000


def split(text: str) -> list[str]:
    r"""The words of a text, in order; joined they are the text again.

    These are the matches of the pattern in OpenAI's encoder.py,

        's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

    with the letters, numbers and white space of Unicode 16.0, whatever Python's own version:
    a run of letters, of numbers or of anything else takes one space before it along; white space
    before a word leaves its last character to stand alone or, if a space, to go with the word.

    >>> split("It's  1,024 tokens\n\n  long")
    ['It', "'s", ' ', ' 1', ',', '024', ' tokens', '\n\n ', ' long']
    """
    pattern = _ascii_pattern() if text.isascii() else _unicode_pattern()
    return pattern.findall(text)


@functools.cache
def _ascii_pattern() -> re.Pattern[str]:
    """The same for texts in ASCII, compiled in a thirtieth of the time."""
    space, letter, number = r"\t-\r ", "A-Za-z", "0-9"
    return _compile(f"[{letter}]+", f"[{number}]+", f"[^{space}{letter}{number}]+", space)


@functools.cache
def _unicode_pattern() -> re.Pattern[str]:
    space, _ = _characters(WHITE_SPACE)
    letter, astral_letter = _characters(LETTERS)
    number, astral_number = _characters(NUMBERS)
    # Python looks a character up in a class in one step below U+10000, but scans the class above.
    # Apart, the scan is left to the few characters that need it.
    low = rf"{space}{letter}{number}"
    astral = r"\U00010000-\U0010FFFF"
    letters = rf"(?:[{letter}]+|[{astral}](?<=[{astral_letter}]))+"
    numbers = rf"(?:[{number}]+|[{astral}](?<=[{astral_number}]))+"
    others = rf"(?:[^{low}{astral}]+|[{astral}](?<![{astral_letter}{astral_number}]))+"
    return _compile(letters, numbers, others, space)


def _compile(letters: str, numbers: str, others: str, space: str) -> re.Pattern[str]:
    spaces = f"[{space}]+(?![^{space}])|[{space}]+"
    return re.compile(f"'s|'t|'re|'ve|'m|'ll|'d| ?{letters}| ?{numbers}| ?{others}|{spaces}")


def _characters(ranges: str) -> tuple[str, str]:
    r"""Hexadecimal ranges as insides of two character classes: below U+10000, and from there on.

    >>> _characters("41-5A 61 10000-1000B")
    ('\\U00000041-\\U0000005A\\U00000061-\\U00000061', '\\U00010000-\\U0001000B')
    """
    below: list[str] = []
    above: list[str] = []
    for word in ranges.split():
        first, _, last = word.partition("-")
        members = rf"\U{first:0>8}-\U{last or first:0>8}"
        (below if int(first, 16) < _ASTRAL else above).append(members)
    return "".join(below), "".join(above)
