import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from npgpt.errors import TokenizerError
from npgpt.tokenizer._byte_alphabet import ALPHABET, to_bytes, to_printable
from tests.helpers.reference_tokenizers import as_bytes


def test_each_byte_has_the_character_that_the_definition_gives_it() -> None:
    for byte in range(256):
        data = bytes([byte])
        assert as_bytes(to_printable(data)) == data


def test_alphabet_is_that_of_hugging_face_in_the_order_of_gpt2s_ids() -> None:
    assert sorted(pre_tokenizers.ByteLevel.alphabet()) == list(ALPHABET)


@given(st.binary())
def test_round_trip(data: bytes) -> None:
    printable = to_printable(data)
    assert len(printable) == len(data)
    assert set(printable) <= set(ALPHABET)
    assert to_bytes(printable) == data


@pytest.mark.parametrize("foreign", [" ", "\n", "\xad", "\u0144", "中"])
def test_other_characters_are_refused(foreign: str) -> None:
    with pytest.raises(TokenizerError, match="not one of the 256"):
        to_bytes("a" + foreign)
