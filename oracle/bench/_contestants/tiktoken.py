"""tiktoken, one thread, with the same vocabulary."""

import functools
import importlib.metadata
from pathlib import Path

from oracle.bench._contest import Contestant, Measured, Setup, checksum
from oracle.bench._tasks import timed
from oracle.bench._texts import text, vocabulary
from oracle.tokenizer import byte_alphabet

# The pattern that GPT-2 was released with.
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
END_OF_TEXT = "<|endoftext|>"


def contestant(setup: Setup) -> Contestant:
    """Its Rust core, called once for the whole text."""
    import tiktoken

    cache = Path(setup.cache)

    def encode() -> Measured:
        # An id is also a rank: each merge made the next token.
        ranks = {_bytes(t): i for t, i in vocabulary(cache).items() if t != END_OF_TEXT}
        encoding = tiktoken.Encoding(
            "gpt2-bench", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={}
        )
        given = text(cache, setup.shape.text)
        seconds, ids = timed(lambda: encoding.encode_ordinary(given))
        return Measured(seconds, checksum(ids))

    about = f"tiktoken {importlib.metadata.version('tiktoken')}"
    return Contestant(about, {"tokenizer": encode})


@functools.cache
def _byte_of() -> dict[str, int]:
    return {character: byte for byte, character in enumerate(byte_alphabet())}


def _bytes(token: str) -> bytes:
    return bytes(map(_byte_of().__getitem__, token))
