"""Bugs of tokenizers that short texts do not show: second ways to merge, blocks, special tokens."""

from collections.abc import Iterable, Mapping, Sequence

from oracle import tokenizer
from oracle.mutants._mutant import Mutant
from oracle.mutants._tokenizer import tokenizer_bug
from oracle.tokenizer import Merges, Pair, Vocabulary

END_OF_TEXT = "<|endoftext|>"

_encode, _join, _split, _text_of, _end_of_run = (
    tokenizer.encode,
    tokenizer.join,
    tokenizer.split,
    tokenizer.text_of,
    tokenizer.end_of_run,
)


def _in_parts(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    """32 bytes at a time."""
    parts = (symbols[i : i + 32] for i in range(0, len(symbols), 32))
    return [token for part in parts for token in _join(part, ranks)]


def _left_to_right_if_long(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    if len(symbols) < 500:
        return _join(symbols, ranks)
    joined: list[str] = []
    for symbol in symbols:
        joined.append(symbol)
        while len(joined) > 1 and (joined[-2], joined[-1]) in ranks:
            joined[-2:] = [joined[-2] + joined[-1]]
    return joined


def _bytes_if_long(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    return list(symbols) if len(symbols) > 128 else _join(symbols, ranks)


def _short_runs(text: str, start: int, wanted: str) -> int:
    return min(_end_of_run(text, start, wanted), start + 32767)


def _text_in_blocks(text: str) -> list[str]:
    """Blocks of 65536 characters, each split by itself."""
    blocks = (text[i : i + 65536] for i in range(0, len(text), 65536))
    return [piece for block in blocks for piece in _split(block)]


def _special(
    vocabulary: Vocabulary, merges: Merges, text: str, *, allowed_special: Sequence[str] = ()
) -> list[int]:
    always = [END_OF_TEXT] if END_OF_TEXT in vocabulary else []
    return _encode(vocabulary, merges, text, allowed_special=always)


def _decoded_in_blocks(parts: Iterable[bytes]) -> str:
    """4096 tokens at a time."""
    listed = list(parts)
    blocks = (listed[i : i + 4096] for i in range(0, len(listed), 4096))
    return "".join(map(_text_of, blocks))


MUTANTS: tuple[Mutant, ...] = (
    tokenizer_bug(
        "piece-in-parts",
        "a piece of more than 32 bytes is merged in parts of 32 bytes",
        "yethee/tiktoken-php#25",
        effect="other tokens for long words",
        severity="text",
        join=_in_parts,
    ),
    tokenizer_bug(
        "piece-long-left-to-right",
        "pieces of 500 bytes and more are merged left to right, not by rank",
        "openai/tiktoken#239",
        effect="other tokens for very long words",
        severity="long contexts",
        join=_left_to_right_if_long,
    ),
    tokenizer_bug(
        "piece-long-unmerged",
        "pieces of more than 128 bytes are not merged at all",
        "",
        effect="many tokens for long words",
        severity="long contexts",
        join=_bytes_if_long,
    ),
    tokenizer_bug(
        "split-runs-of-32767",
        "a run of more than 32767 characters is cut, where the pattern's stack ends",
        "ggml-org/llama.cpp#27783",
        effect="other tokens in very long runs",
        severity="long contexts",
        end_of_run=_short_runs,
    ),
    tokenizer_bug(
        "split-in-blocks",
        "a text is read in blocks of 65536 characters, each split by itself",
        "",
        effect="other tokens where two blocks meet",
        severity="long contexts",
        split=_text_in_blocks,
    ),
    tokenizer_bug(
        "special-in-text",
        "<|endoftext|> in any text becomes the special token",
        "huggingface/tokenizers#376",
        effect="who writes <|endoftext|> ends the text",
        severity="text",
        encode=_special,
    ),
    tokenizer_bug(
        "decode-in-blocks",
        "ids are decoded 4096 at a time, which breaks characters where two blocks meet",
        "",
        effect="U+FFFD in long texts",
        severity="long contexts",
        text_of=_decoded_in_blocks,
    ),
)
