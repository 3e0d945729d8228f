"""The oracle's tokenizer, held to tiktoken and Hugging Face's on GPT-2's real vocabulary."""

import functools
import json

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oracle import tokenizer
from oracle.conformance._remembered import remembered
from oracle.strategies._texts import build_vocabulary, ids_examples, text_examples, texts
from tests.helpers.real_data import gpt2_tokenizer
from tests.helpers.reference_tokenizers import PATTERN, gpt2_hugging_face, gpt2_tiktoken

BYTES = build_vocabulary("commonest", 0, "", 0)


@functools.cache
def gpt2():
    """The vocabulary and merges of the released files."""
    folder = gpt2_tokenizer()
    vocabulary = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")
    return vocabulary, [tuple(line.split()) for line in lines[1:] if line]


@pytest.fixture(scope="module")
def ranks_once():
    """The released merges are one large table, which is turned into ranks once and not per text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "ranks_of", remembered(tokenizer.ranks_of))
        yield


@pytest.mark.usefixtures("ranks_once")
@given(texts)
@example("I'LL we'll  a\n\n b\t\tc \u00a0\u3000x ²½Ⅷ 2024!!")
def test_ids_are_those_of_both_references(text):
    ids = tokenizer.encode(*gpt2(), text)
    assert ids == gpt2_tiktoken().encode_ordinary(text)
    assert ids == gpt2_hugging_face().encode(text).ids
    assert tokenizer.decode(*gpt2(), ids) == text


@given(st.lists(st.integers(0, 50255), max_size=8))
@settings(max_examples=settings.default.max_examples // 2)  # each turns a large table round
def test_texts_are_those_of_tiktoken_even_of_broken_bytes(ids):
    assert tokenizer.decode(*gpt2(), ids) == gpt2_tiktoken().decode(ids, errors="replace")


@given(texts)
def test_pieces_are_those_of_the_pattern(text):
    assert tokenizer.split(text) == regex.findall(PATTERN, text)


def test_alphabet_is_that_of_the_released_vocabulary():
    # The first 256 tokens stand for single bytes.
    first = sorted(gpt2()[0], key=gpt2()[0].get)[:256]
    assert sorted(tokenizer.byte_alphabet()) == sorted(first)
    assert [tokenizer.byte_alphabet()[b] for b in b" \n\xad"] == ["Ġ", "Ċ", "Ń"]


def test_white_space_has_no_separators():
    spaces = {c for c in map(chr, range(0x110000)) if tokenizer.kind(c) == "space"}
    assert len(spaces) == 25  # of Unicode's White_Space, since version 6.3
    assert not spaces & set("\x1c\x1d\x1e\x1f\u180e\u200b\ufeff")


@given(text_examples())
def test_every_text_comes_back(case):
    tokens, merges = case.vocabulary.tokens, case.vocabulary.merges
    assert (
        tokenizer.decode(tokens, merges, tokenizer.encode(tokens, merges, case.text)) == case.text
    )


@given(ids_examples())
def test_decoding_is_that_of_the_bytes_together(case):
    tokens = {number: token for token, number in case.vocabulary.tokens.items()}
    together = b"".join(tokenizer.token_bytes(tokens[number]) for number in case.ids)
    found = tokenizer.decode(case.vocabulary.tokens, case.vocabulary.merges, case.ids)
    assert found == together.decode(errors="replace")


@pytest.mark.parametrize("text", ["a\ud800", "\udfff"])
def test_a_lone_surrogate_has_no_ids(text):
    with pytest.raises(ValueError, match="lone surrogate"):
        tokenizer.encode(BYTES.tokens, [], text)


def test_a_token_must_be_known():
    with pytest.raises(ValueError, match="'b' is not in the vocabulary"):
        tokenizer.encode({"a": 0}, [], "ab")
    with pytest.raises(ValueError, match="'ab' is not in the vocabulary"):
        tokenizer.encode({"a": 0, "b": 1}, [("a", "b")], "ab")


@pytest.mark.parametrize("number", [-1, 256])
def test_an_id_must_be_known(number):
    with pytest.raises(ValueError, match=f"id {number} is not in the vocabulary of 256"):
        tokenizer.decode(BYTES.tokens, [], [0, number])


def test_a_tokens_characters_must_stand_for_bytes():
    with pytest.raises(ValueError, match="'東', which stands for no byte"):
        tokenizer.decode({"東": 0}, [], [0])
