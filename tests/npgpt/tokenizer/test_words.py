"""The fast words against `split`, whose array form and slices they are."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npgpt.tokenizer import _words as module
from npgpt.tokenizer._split import split
from npgpt.tokenizer._words import CHUNK, CONTRACTED, by_arrays, words
from tests.helpers.text_strategies import texts

# What words turn on, close together: kinds of character, spaces, contractions and their parts.
pieces = st.sampled_from(
    [
        *(f"'{letters}" for letters in CONTRACTED),
        *"'stmdrevlaSé1²٣!\u0301中\ufeff\U0001e900\U0001d7d8\U0001f600",
        *"  \n\n\t\r\x1c\u00a0\u3000\u2028",
    ]
)
knotty = st.lists(pieces, min_size=1, max_size=30).map("".join)
any_text = st.one_of(texts, knotty, st.text(st.characters(exclude_categories=["Cs"])))


def by_definition(text: str) -> list[bytes]:
    return [word.encode() for word in split(text)]


@given(any_text.filter(bool))
@example("'s")
@example("x'")
@example("x'l")
@example("x'\n\n")
@example("'ll've  'd \u3000're")
def test_arrays_find_the_words(text: str) -> None:
    assert by_arrays(text) == by_definition(text)


@given(any_text)
def test_words_are_those_of_split(text: str) -> None:
    assert [word for some in words(text) for word in some] == by_definition(text)


@given(any_text, st.integers(0, 8), st.integers(1, 8))
def test_slices_never_cut_a_word(text: str, chunk: int, short: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        patch.setattr(module, "SHORT", short)
        slices = [some for some in words(text) if some]
    assert [word for some in slices for word in some] == by_definition(text)


def test_slices_are_of_the_size_that_they_are_to_be() -> None:
    generator = random.Random(0)
    text = "".join(generator.choices("aé1!' \n", k=5 * CHUNK))
    slices = list(words(text))
    assert len(slices) == 5
    assert [word for some in slices for word in some] == by_definition(text)


@pytest.mark.parametrize("character", "a =\n中\U0001f600")
def test_one_word_may_be_longer_than_a_slice(character: str) -> None:
    word = character * (2 * CHUNK + 1)
    assert list(words(word)) == [[word.encode()]]
