"""GPT-2's tokenizer as tiktoken and Hugging Face's tokenizers have it, with the same files."""

import functools
import json
from pathlib import Path

import tiktoken
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._files import load as load_tokenizer
from tests.helpers.real_data import gpt2_tokenizer

END_OF_TEXT = "<|endoftext|>"
PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


@functools.cache
def gpt2() -> Tokenizer:
    """Ours."""
    tokenizer = load_tokenizer(gpt2_tokenizer())
    assert tokenizer is not None
    return tokenizer


@functools.cache
def gpt2_tiktoken() -> tiktoken.Encoding:
    """Its own `get_encoding("gpt2")` would download."""
    text = (gpt2_tokenizer() / "encoder.json").read_text(encoding="utf-8")
    ids = {as_bytes(token): id_ for token, id_ in json.loads(text).items()}
    special = {END_OF_TEXT: ids.pop(END_OF_TEXT.encode())}
    return tiktoken.Encoding(
        "gpt2-local", pat_str=PATTERN, mergeable_ranks=ids, special_tokens=special
    )


@functools.cache
def gpt2_hugging_face() -> tokenizers.Tokenizer:
    """Without special tokens, which it would find in every text."""
    return byte_level(gpt2_tokenizer() / "encoder.json", gpt2_tokenizer() / "vocab.bpe")


@functools.cache
def gpt2_hugging_face_special() -> tokenizers.Tokenizer:
    """With `<|endoftext|>` found in every text."""
    tokenizer = byte_level(gpt2_tokenizer() / "encoder.json", gpt2_tokenizer() / "vocab.bpe")
    tokenizer.add_special_tokens([END_OF_TEXT])
    return tokenizer


def byte_level(vocab: Path, merges: Path) -> tokenizers.Tokenizer:
    """A byte-level BPE from a vocabulary and its merges."""
    tokenizer = tokenizers.Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def as_bytes(token: str) -> bytes:
    """A token of the vocabulary as bytes, the alphabet derived another way than npgpt does."""
    return bytes(_bytes_of_characters()[character] for character in token)


@functools.cache
def _bytes_of_characters() -> dict[str, int]:
    visible = [byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "]
    others = [byte for byte in range(256) if byte not in visible]
    stand_ins = {chr(256 + index): byte for index, byte in enumerate(others)}
    return {chr(byte): byte for byte in visible} | stand_ins
