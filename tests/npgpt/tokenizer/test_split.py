import pytest
from hypothesis import given
from tokenizers import Regex, pre_tokenizers

from npgpt.tokenizer._split import split
from tests.helpers.reference_tokenizers import PATTERN
from tests.helpers.text_strategies import texts


@given(texts)
def test_words_are_those_of_hugging_face(text: str) -> None:
    reference = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    assert list(split(text)) == [word for word, _ in reference.pre_tokenize_str(text)]


@given(texts)
def test_words_joined_are_the_text(text: str) -> None:
    words = list(split(text))
    assert "".join(words) == text
    assert "" not in words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("I'll've", ["I", "'ll", "'ve"]),
        ("I'LL", ["I", "'", "LL"]),
        ("x'sy", ["x", "'s", "y"]),
        (" 's", [" '", "s"]),
        ("a1_", ["a", "1", "_"]),
        ("a  b", ["a", " ", " b"]),
        ("a \n b", ["a", " \n", " b"]),
        ("a\n\nb", ["a", "\n", "\n", "b"]),
        ("a\u00a0b", ["a", "\u00a0", "b"]),
        ("a  ", ["a", "  "]),
        ("a\x1cb", ["a", "\x1c", "b"]),
        (" \x1c", [" \x1c"]),
        ("e\u0301a", ["e", "\u0301", "a"]),
        ("\U0001e900\U0001e922x\U0001e943", ["\U0001e900\U0001e922x\U0001e943"]),
        ("7\U0001d7d8\u0663", ["7\U0001d7d8\u0663"]),
        ("!\U0001f600\ufe0f", ["!\U0001f600\ufe0f"]),
    ],
)
def test_words_by_hand(text: str, words: list[str]) -> None:
    assert list(split(text)) == words


# New in Unicode 16 (Garay, U+10D50; Sunuwar digit, U+11BF0) and in 17 (Sidetic, U+10940).
@pytest.mark.parametrize(
    ("character", "is_letter"), [("\U00010d50", True), ("\U00011bf0", False), ("\U00010940", False)]
)
def test_the_version_of_unicode_is_16(character: str, is_letter: bool) -> None:
    assert (len(list(split("a" + character))) == 1) is is_letter
