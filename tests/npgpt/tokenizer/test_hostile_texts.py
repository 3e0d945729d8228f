"""Texts and ids from strangers: encoded exactly, or refused with one error."""

import unicodedata
from typing import Any

import numpy as np
import pytest

from npgpt.errors import TokenizerError
from npgpt.tokenizer._encoding import END_OF_TEXT, Tokenizer
from npgpt.tokenizer._training import train

TRAINED = train(["to be or not to be, that is the question"], vocab_size=270)
MORE = {text: TRAINED.vocab_size + n for n, text in enumerate(("<a", "<a>", "a" * 60 + "b"))}
TOKENIZER = Tokenizer(TRAINED.vocab, TRAINED.merges, {**TRAINED.special_tokens, **MORE})


class Text(str):
    """A str that says to be another one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another"

    def __repr__(self) -> str:
        return "another"


TEXTS = {
    "nothing": "",
    "NUL": "\0",
    "a thousand NULs": "\0" * 1000,
    "every byte as a character": "".join(map(chr, range(256))),
    "each kind of new line": "\r\n \n\r \v\f \x1c\x1d\x1e \x85 \u2028\u2029",
    "a byte order mark": "\ufeffto be",
    "no characters": "\ufffe\uffff\U0010ffff\ufdd0",
    "private use": "\ue000\U000f0000\U0010fffd",
    "the replacement character": "\ufffd",
    "combining marks": "e" + "\u0301" * 10_000,
    "a combining mark alone": "\u0301",
    "joiners": "\u200d\u200c" * 500,
    "right to left": "\u202eabc\u202c \u05d0\u0628",
    "composed and not": "é" + unicodedata.normalize("NFD", "é"),
    "flags and families": "\U0001f1e9\U0001f1ea \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "spaces": " " * 10_000,
    "one letter": "a" * 50_000,
    "a hundred thousand of two bytes": "é" * 100_000,
    "distinct characters": "".join(map(chr, range(0x100, 0xD800))),
    "apostrophes": "'" * 5_000 + "'s'll've",
    "special tokens": f"{END_OF_TEXT}<a><a>>{END_OF_TEXT}" * 3,
    "the start of a special token": "<|endoftext|" * 100,
    "special tokens within others": "<|endof<|endoftext|>text|>",
    "the start of a long one": "a" * 50_000,
    "a text of its own kind": Text("to be"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_texts_come_back(text: str) -> None:
    ids = TOKENIZER.encode(text)
    exact = text.encode()
    assert TOKENIZER.decode_bytes(ids) == exact
    assert not set(ids) & set(TOKENIZER.special_tokens.values())
    assert TOKENIZER.decode_bytes(TOKENIZER.encode(text, allowed_special="all")) == exact


NO_TEXTS: dict[str, Any] = {
    "None": None,
    "a number": 5,
    "bytes": b"to be",
    "a bytearray": bytearray(b"to be"),
    "a list of texts": ["to be"],
    "an array": np.array("to be"),
    "NaN": float("nan"),
    "a megabyte of bytes": b"x" * 10**6,
    "half a pair": "\ud83d",
    "halves, the wrong way round": "\ude00\ud83d",
    "the other half": "a\udfff",
    "a file's name that is not UTF-8": b"\xff".decode(errors="surrogateescape"),
    "half a pair after a megabyte": "x" * 10**6 + "\ud800",
}


@pytest.mark.parametrize("text", NO_TEXTS.values(), ids=NO_TEXTS)
def test_what_is_no_text(text: Any) -> None:
    for encode in (TOKENIZER.encode, lambda text: TOKENIZER.encode(text, allowed_special="all")):
        with pytest.raises(TokenizerError, match=r"is no text|lone surrogate") as e:
            encode(text)
        assert len(str(e.value)) < 300
    with pytest.raises(TokenizerError, match=r"is no text|lone surrogate"):
        train(["a", text], vocab_size=300)


ALLOWED: dict[str, Any] = {
    "None": None,
    "a list": [END_OF_TEXT],
    "a text": END_OF_TEXT,
    "a number": 1,
    "bytes": {b"<a>"},
    "a megabyte": {"x" * 10**6},
    "an array": np.array(["all", "all"]),
    "ids": {257},
}


@pytest.mark.parametrize("allowed", ALLOWED.values(), ids=ALLOWED)
def test_what_cannot_be_allowed(allowed: Any) -> None:
    with pytest.raises(TokenizerError, match="give 'all' or a set out of") as caught:
        TOKENIZER.encode("a", allowed_special=allowed)
    assert len(str(caught.value)) < 500


def test_many_special_tokens_that_begin_alike_take_no_time() -> None:
    first = len(TRAINED.vocab) + 1
    many = {"a" * length + "b": first + length - 1 for length in range(1, 1000)}
    tokenizer = Tokenizer(TRAINED.vocab, TRAINED.merges, {END_OF_TEXT: first - 1, **many})
    text = "a" * 10_000 + "c"  # tried at each place, they would take 10 seconds
    assert tokenizer.encode(text, allowed_special="all") == tokenizer.encode(text)
    assert tokenizer.encode(f"c{'a' * 9}b", allowed_special="all")[1:] == [first + 8]


LAST = TOKENIZER.vocab_size - 1
IDS: dict[str, Any] = {
    "None": None,
    "a number": 5,
    "a text": "12",
    "bytes": b"ab",
    "a bytearray": bytearray(b"ab"),
    "an array of no dimensions": np.array(5),
    "negative": [-1],
    "past the last": [LAST + 1],
    "huge": [10**30],
    "of 5,001 digits": [10**5000],
    "negative, of 5,001 digits": [-(10**5000)],
    "true": [True],
    "false among others": [0, False],
    "NumPy's true": [np.True_],
    "a fraction": [1.0],
    "NumPy's fraction": [np.float64(1)],
    "an array of fractions": np.array([1.0, 2.0]),
    "NaN": [float("nan")],
    "infinite": [float("inf")],
    "a text in a list": ["1"],
    "None in a list": [None],
    "nested": [[1, 2]],
    "an array of two dimensions": np.array([[1, 2]]),
    "nested arrays of one": [np.array([1])],
    "a megabyte": ["x" * 10**6],
    "NumPy's largest": [np.uint64(2**64 - 1)],
    "NumPy's negative": np.array([-1], np.int8),
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_what_are_no_ids(ids: Any) -> None:
    expected = "is no list of token ids|is unknown; give whole numbers, 0 to|hold a boolean"
    for decode in (TOKENIZER.decode, TOKENIZER.decode_bytes):
        with pytest.raises(TokenizerError, match=expected) as caught:
            decode(ids)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "ids",
    [
        [64, 65],
        (64, 65),
        range(64, 66),
        iter([64, 65]),
        np.array([64, 65], np.uint8),
        [np.int64(64), np.uint16(65)],
        {64: None, 65: None},
        [np.array(64), 65],
    ],
    ids=lambda ids: type(ids).__name__,
)
def test_whole_numbers_of_any_kind(ids: Any) -> None:
    assert TOKENIZER.decode(ids) == "ab"


@pytest.mark.parametrize("size", [None, "300", 300.0, True, float("inf"), float("nan"), 10**5 * -1])
def test_sizes_of_no_vocabulary(size: Any) -> None:
    with pytest.raises(TokenizerError, match=r"vocab_size is .*; give 257 or more"):
        train(["a"], vocab_size=size)


@pytest.mark.parametrize("texts", ["to be", b"to be", "x" * 10**6], ids=["text", "bytes", "long"])
def test_one_text_is_not_several(texts: Any) -> None:
    with pytest.raises(TokenizerError, match="give several, such as a list of one"):
        train(texts, vocab_size=300)
