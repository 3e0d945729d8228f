import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.errors import TokenizerError
from npgpt.tokenizer._byte_alphabet import ALPHABET
from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._training import train
from tests.helpers.reference_tokenizers import (
    END_OF_TEXT,
    gpt2,
    gpt2_hugging_face,
    gpt2_hugging_face_special,
    gpt2_tiktoken,
)
from tests.helpers.text_strategies import texts

BYTES = {letter: index for index, letter in enumerate(ALPHABET)}


@given(texts)
def test_ids_are_those_of_tiktoken_and_hugging_face(text: str) -> None:
    ids = gpt2().encode(text)
    assert ids == gpt2_tiktoken().encode_ordinary(text)
    assert ids == gpt2_hugging_face().encode(text).ids


@given(texts)
def test_allowed_special_tokens_are_those_of_tiktoken_and_hugging_face(text: str) -> None:
    ids = gpt2().encode(text, allowed_special="all")
    assert ids == gpt2().encode(text, allowed_special={END_OF_TEXT})
    assert ids == gpt2_tiktoken().encode(text, allowed_special="all")
    assert ids == gpt2_hugging_face_special().encode(text).ids


@given(texts)
def test_round_trip(text: str) -> None:
    assert gpt2().decode(gpt2().encode(text)) == text
    assert gpt2().decode(gpt2().encode(text, allowed_special="all")) == text


@given(texts)
def test_only_allowed_special_tokens_are_found(text: str) -> None:
    assert gpt2().end_of_text not in gpt2().encode(text)


@pytest.mark.parametrize(
    ("character", "times"),
    [("a", 1_000_000), (" ", 1_000_000), *((character, 100_000) for character in "=\n中\u0378")],
)
def test_a_long_run_of_one_character(character: str, times: int) -> None:
    text = character * times
    assert gpt2().encode(text) == gpt2_hugging_face().encode(text).ids


def test_the_longer_special_token_wins() -> None:
    tokenizer = Tokenizer(BYTES, (), {"<a": 256, "<a>": 257, "b<": 258})
    encode = tokenizer.encode
    assert encode("<a><ab<a>", allowed_special="all") == [257, 256, 258, *encode("a>")]
    assert encode("<a><a", allowed_special={"<a"}) == [256, *encode(">"), 256]
    assert encode("<a>") == encode("<") + encode("a") + encode(">")


def test_special_tokens_need_not_be_written_in_the_byte_alphabet() -> None:
    tokenizer = Tokenizer(BYTES, (), {"<tool call> é": 256})
    ids = tokenizer.encode("a<tool call> é", allowed_special="all")
    assert ids == [BYTES["a"], 256]
    assert tokenizer.decode(ids) == "a<tool call> é"


@pytest.mark.parametrize("allowed", [END_OF_TEXT, {"<pad>"}, {END_OF_TEXT, "<pad>"}, ""])
def test_unknown_special_tokens_cannot_be_allowed(allowed: object) -> None:
    with pytest.raises(TokenizerError, match="allowed_special"):
        gpt2().encode("a", allowed_special=allowed)  # type: ignore[arg-type]


@given(texts, st.characters(categories=["Cs"]), texts)
def test_lone_surrogates_are_refused_by_position(before: str, half: str, after: str) -> None:
    with pytest.raises(TokenizerError, match=f"at position {len(before)} is a lone surrogate"):
        gpt2().encode(before + half + after)


def test_ids_may_be_of_numpy() -> None:
    assert gpt2().decode(np.array([15496, 23748])) == "Hello hello"


@pytest.mark.parametrize("unknown", [-1, 50257, 1 << 70, 1.0, "1", None])
def test_unknown_ids_are_refused(unknown: object) -> None:
    with pytest.raises(TokenizerError, match=r"token id .* is unknown; give .* 0 to 50256"):
        gpt2().decode([15496, unknown])  # type: ignore[list-item]


def test_a_tokenizer_in_use_can_be_copied_and_pickled() -> None:
    tokenizer = train(["to be or not to be"], vocab_size=260)
    ids = tokenizer.encode("to be")
    for twin in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert twin == tokenizer
        assert twin.encode("to be") == ids


def test_ids_given_out_are_the_callers_own() -> None:
    tokenizer = train([], vocab_size=257)
    tokenizer.encode("word").clear()
    assert tokenizer.decode(tokenizer.encode("word")) == "word"
