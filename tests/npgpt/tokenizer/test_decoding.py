"""Ids to text, at once and one by one, also where the bytes are not UTF-8."""

from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizer._encoding import incremental_decoder
from npgpt.tokenizer._training import train
from tests.helpers.reference_tokenizers import gpt2, gpt2_hugging_face_special, gpt2_tiktoken
from tests.helpers.text_strategies import texts

SINGLE_BYTES = train([], vocab_size=257)

# Any ids; and bytes that begin, continue and break characters of UTF-8.
any_ids = st.lists(st.integers(0, 50256), max_size=20)
utf8_parts = st.sampled_from(
    [
        *(b"a", b"\x80", b"\x90", b"\x98", b"\x9f", b"\xa0", b"\xbf"),
        *(b"\xc0", b"\xc3", b"\xe0", b"\xe2", b"\xed", b"\xf0", b"\xf4", b"\xff"),
        *("é".encode(), "中".encode(), "😀".encode()),
    ]
)
broken_bytes = st.lists(utf8_parts, max_size=12).map(b"".join)


def byte_ids(data: bytes) -> list[int]:
    ids = {SINGLE_BYTES.decode_bytes([id_]): id_ for id_ in range(256)}
    return [ids[bytes([byte])] for byte in data]


@given(any_ids)
def test_text_is_that_of_tiktoken_and_hugging_face(ids: list[int]) -> None:
    text = gpt2().decode(ids)
    assert text == gpt2_tiktoken().decode(ids)
    assert text == gpt2_hugging_face_special().decode(ids, skip_special_tokens=False)
    assert gpt2().decode_bytes(ids) == gpt2_tiktoken().decode_bytes(ids)


@given(broken_bytes)
def test_bytes_that_are_not_utf8_become_replacement_characters(data: bytes) -> None:
    ids = byte_ids(data)
    assert SINGLE_BYTES.decode_bytes(ids) == data
    assert SINGLE_BYTES.decode(ids) == data.decode(errors="replace")


def pushed(tokenizer: object, ids: list[int]) -> list[str]:
    decoder = incremental_decoder(tokenizer)  # type: ignore[arg-type]
    return [*(decoder.push(id_) for id_ in ids), decoder.finish()]


@given(any_ids)
def test_pieces_joined_are_the_text(ids: list[int]) -> None:
    assert "".join(pushed(gpt2(), ids)) == gpt2().decode(ids)


@given(broken_bytes)
def test_pieces_joined_are_the_text_where_it_is_not_utf8(data: bytes) -> None:
    ids = byte_ids(data)
    assert "".join(pushed(SINGLE_BYTES, ids)) == SINGLE_BYTES.decode(ids)


@given(texts)
def test_each_character_comes_whole_and_as_soon_as_it_is_complete(text: str) -> None:
    expected = [piece for character in text for piece in _late(character)]
    pieces = pushed(SINGLE_BYTES, byte_ids(text.encode()))
    assert pieces == [*expected, ""]


def _late(character: str) -> list[str]:
    return [""] * (len(character.encode()) - 1) + [character]


def test_half_a_character_at_the_end_is_told_only_when_it_is_the_end() -> None:
    assert pushed(SINGLE_BYTES, byte_ids("é".encode()[:1])) == ["", "\ufffd"]


def test_decoders_do_not_share_their_state() -> None:
    first, second = incremental_decoder(SINGLE_BYTES), incremental_decoder(SINGLE_BYTES)
    half, rest = byte_ids("é".encode())
    assert first.push(half) == ""
    assert second.finish() == ""
    assert first.push(rest) == "é"
