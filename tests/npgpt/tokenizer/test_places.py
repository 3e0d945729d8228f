"""Offsets of tokens in a text, and ids of bytes that are none."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import npgpt
from npgpt.checkpoints import save
from npgpt.errors import TokenizerError
from npgpt.tokenizer._characters import CharacterTokenizer
from npgpt.tokenizer._training import train
from tests.helpers.command_line import output
from tests.helpers.reference_tokenizers import gpt2
from tests.helpers.small_gpt import CONFIG, TOKENIZER, parameters
from tests.helpers.text_strategies import texts

SINGLE_BYTES = train([], vocab_size=257)
any_bytes = st.one_of(
    st.binary(max_size=12),
    st.lists(st.sampled_from([b"a", b" ", b"\xff", b"\xe6\x97", "日".encode(), b"\xf0\x9f"])).map(
        b"".join
    ),
)


def test_known_offsets() -> None:
    tokenizer = gpt2()
    assert tokenizer.offsets(tokenizer.encode("Hello wörld, 日!")) == [
        (0, 5), (5, 7), (7, 9), (9, 11), (11, 12), (12, 14), (13, 14), (13, 14), (14, 15),
    ]  # fmt: skip
    assert tokenizer.offsets([]) == []
    assert SINGLE_BYTES.offsets(SINGLE_BYTES.encode_bytes(b"a\xe6\x97!\xff")) == [
        (0, 1), (1, 2), (1, 2), (2, 3), (3, 4),
    ]  # fmt: skip


@given(texts)
def test_offsets_hold_the_tokens_and_cover_the_text(text: str) -> None:
    tokenizer = gpt2()
    ids = tokenizer.encode(text)
    offsets = tokenizer.offsets(ids)
    for token, (start, end) in zip(ids, offsets, strict=True):
        assert tokenizer.decode_bytes([token]) in text[start:end].encode()
    starts, ends = [0, *(end for _, end in offsets)], [*(start for start, _ in offsets), len(text)]
    assert all(0 <= after - next_ <= 1 for after, next_ in zip(starts[1:], ends[1:], strict=True))
    assert starts[-1] == len(text)


@given(any_bytes)
def test_bytes_there_and_back(data: bytes) -> None:
    for tokenizer in (gpt2(), SINGLE_BYTES, TOKENIZER):
        ids = tokenizer.encode_bytes(data)
        assert tokenizer.decode_bytes(ids) == data
        assert [end for _, end in tokenizer.offsets(ids)][-1:] == [len(tokenizer.decode(ids))][
            : len(ids)
        ]


@given(texts)
def test_bytes_of_a_text_have_its_ids(text: str) -> None:
    assert gpt2().encode_bytes(text.encode()) == gpt2().encode(text)


def test_what_is_not_bytes() -> None:
    with pytest.raises(TokenizerError, match="'x' is not bytes; give bytes, or a text to `encode`"):
        gpt2().encode_bytes("x")  # type: ignore[arg-type]
    with pytest.raises(TokenizerError, match="is not UTF-8, and the model knows characters only"):
        CharacterTokenizer({"a": 0}, ()).encode_bytes(b"a\xff")
    assert CharacterTokenizer({"a": 0}, ()).encode_bytes(b"aa") == [0, 0]


def test_special_tokens_in_prompts(tmp_path: Path) -> None:
    save(tmp_path, CONFIG, parameters(CONFIG), TOKENIZER)
    gpt, text = npgpt.load(tmp_path), "x<|endoftext|>y"
    special = TOKENIZER.encode(text, allowed_special="all")
    assert special == [87, 284, 88]
    for allowed in ("all", {"<|endoftext|>"}):
        made = gpt.generate(text, max_new_tokens=2, allowed_special=allowed)
        assert made == gpt.generate(special, max_new_tokens=2)
        stream = gpt.stream(text, max_new_tokens=2, allowed_special=allowed)
        assert list(stream) == list(gpt.stream(special, max_new_tokens=2))
        assert gpt.score(text, allowed_special=allowed).tokens == special
    assert gpt.generate(text, max_new_tokens=2).prompt_lengths == [len(TOKENIZER.encode(text))]
    with pytest.raises(
        TokenizerError, match=r"allowed_special is \{'<s>'\}; give 'all' or a set out"
    ):
        gpt.generate(text, allowed_special={"<s>"})
    for argv in (["generate", "--max-new-tokens", "2"], ["score"]):
        asked = [*argv, "--model", tmp_path, "--json"]
        allowed_by_name = json.loads(output(*asked, text, "--allow-special"))
        assert allowed_by_name == json.loads(output(*asked, "--tokens", "87 284 88"))
    asked = ["tokenize", "--model", tmp_path, text, "--json"]
    assert json.loads(output(*asked, "--allow-special"))["offsets"] == [[0, 1], [1, 14], [14, 15]]
    assert len(json.loads(output(*asked))["tokens"]) > 3
