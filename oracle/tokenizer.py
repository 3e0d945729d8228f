"""GPT-2's byte-level BPE, slow and plain: the judge of every other tokenizer.

Source: Radford et al. 2019, section 2.2, over Sennrich et al. 2016, https://arxiv.org/abs/1508.07909.
A text is cut by the released pattern

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

then each piece's UTF-8 bytes, one symbol a byte, are joined: the known pair of lowest rank first,
all its occurrences from left to right, until no neighbours are a known pair. Letters and numbers
are those of this Python's Unicode; a later version knows letters that an earlier one does not.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

__all__ = ["decode", "encode", "split"]

Vocabulary: TypeAlias = Mapping[str, int]
Pair: TypeAlias = tuple[str, str]
Merges: TypeAlias = Sequence[Pair]

CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


def encode(
    vocabulary: Vocabulary, merges: Merges, text: str, *, allowed_special: Sequence[str] = ()
) -> list[int]:
    """The ids of a text, which is taken literally but for the tokens in `allowed_special`.

    Such a token's text becomes its id wherever it stands, the longest of several; what stands
    between is encoded by itself. By default no token in a text is special.

    vocabulary: from tokens, in the printable alphabet of `byte_alphabet`, to ids; merges: pairs of
    tokens by rank. Raises ValueError for a text that has no UTF-8, and for a token that the
    vocabulary lacks.

    >>> encode({"a": 7, "b": 8, "ab": 9}, [("a", "b")], "abba")
    [9, 8, 7]
    >>> encode({"a": 7, "<|a|>": 8}, [], "a<|a|>", allowed_special=["<|a|>"])
    [7, 8]
    """
    ids: list[int] = []
    for part in parts_between(text, allowed_special):
        special = part in allowed_special
        ids += [vocabulary[part]] if special else ids_of_text(vocabulary, merges, part)
    return ids


def parts_between(text: str, special: Sequence[str]) -> list[str]:
    """The text cut before and after each special token in it.

    >>> parts_between("a<b>c", ["<b>"]), parts_between("a<b>c", [])
    (['a', '<b>', 'c'], ['a<b>c'])
    """
    if not special:
        return [text]
    longest_first = sorted(special, key=len, reverse=True)
    pattern = "|".join(re.escape(token) for token in longest_first)
    return [part for part in re.split(f"({pattern})", text) if part]


def ids_of_text(vocabulary: Vocabulary, merges: Merges, text: str) -> list[int]:
    """The ids of a text in which nothing is special."""
    alphabet, ranks = byte_alphabet(), ranks_of(vocabulary, merges)
    ids = []
    for piece in split(text):
        for token in join([alphabet[byte] for byte in utf8(piece)], ranks):
            if token not in vocabulary:
                raise ValueError(
                    f"token {token!r} is not in the vocabulary; it must hold all bytes"
                )
            ids.append(vocabulary[token])
    return ids


def decode(vocabulary: Vocabulary, merges: Merges, ids: Sequence[int]) -> str:
    """The text of ids; each ill-formed part of its UTF-8 becomes U+FFFD. merges are not needed.

    Ill-formed parts are the maximal subparts of the Unicode Standard, section 3.9. Raises
    ValueError for an id or a token's character that is not known.

    >>> decode({"Ã": 0, "©": 1, "Ġ": 2}, [], [2, 0, 1, 0])
    ' é�'
    """
    return text_of(token_bytes(token) for token in tokens_of(vocabulary, ids))


def ranks_of(vocabulary: Vocabulary, merges: Merges) -> dict[Pair, int]:
    """From each pair of tokens to its rank, the lower the earlier it is joined."""
    return {(first, second): rank for rank, (first, second) in enumerate(merges)}


@functools.cache
def byte_alphabet() -> tuple[str, ...]:
    """The printable character that stands for each byte.

    Printable characters of Latin-1 stand for themselves, the others, in order, are those from
    U+0100 on.

    >>> byte_alphabet()[ord("a")], byte_alphabet()[ord(" ")]
    ('a', 'Ġ')
    """
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in itself]
    return tuple(chr(b) if b in itself else chr(256 + others.index(b)) for b in range(256))


def utf8(text: str) -> bytes:
    """The UTF-8 of a text. Raises ValueError for a lone surrogate, which has none.

    >>> list(utf8("é"))
    [195, 169]
    """
    for place, character in enumerate(text):
        if 0xD800 <= ord(character) < 0xE000:
            raise ValueError(
                f"character {place}, {character!r}, is a lone surrogate; it has no UTF-8"
            )
    return text.encode("utf-8")


def kind(character: str) -> str:
    """Which class of the pattern a character is of: "space", "letter", "number" or "other".

    Space is Unicode's White_Space, which has not the separators U+001C to U+001F.

    >>> [kind(c) for c in ("a", "7", "_", "\\t", "\\x1c")]
    ['letter', 'number', 'other', 'space', 'other']
    """
    category = unicodedata.category(character)
    if category[0] == "Z" or character in "\t\n\v\f\r\x85":
        return "space"
    return {"L": "letter", "N": "number"}.get(category[0], "other")


def split(text: str) -> list[str]:
    """The pieces that the pattern cuts a text into; together they are the text.

    >>> split("I'd  pay 10$ ")
    ['I', "'d", ' ', ' pay', ' 10', '$', ' ']
    """
    pieces, place = [], 0
    while place < len(text):
        pieces.append(text[place : end_of_piece(text, place)])
        place += len(pieces[-1])
    return pieces


def end_of_piece(text: str, start: int) -> int:
    """Where the piece ends that starts there: the pattern's alternatives, in their order."""
    for contraction in CONTRACTIONS:
        if text.startswith(contraction, start):
            return start + len(contraction)
    first = start + (text[start] == " ")
    for wanted in ("letter", "number", "other"):
        end = end_of_run(text, first, wanted)
        if end > first:
            return end
    end = end_of_run(text, start, "space")
    # The last of several spaces is left to what follows them.
    return end if end == len(text) or end == start + 1 else end - 1


def end_of_run(text: str, start: int, wanted: str) -> int:
    """Where the characters of that kind end that start there."""
    while start < len(text) and kind(text[start]) == wanted:
        start += 1
    return start


def join(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    """The tokens that symbols are joined to.

    >>> join("abc", {("b", "c"): 0, ("a", "b"): 1})
    ['a', 'bc']
    """
    symbols = list(symbols)
    while known := [pair for pair in itertools.pairwise(symbols) if pair in ranks]:
        symbols = join_pair(symbols, min(known, key=lambda pair: ranks[pair]))
    return symbols


def join_pair(symbols: Sequence[str], pair: Pair) -> list[str]:
    """Join the pair wherever it stands, from left to right.

    >>> join_pair("aaab", ("a", "a"))
    ['aa', 'a', 'b']
    """
    joined, place = [], 0
    while place < len(symbols):
        together = tuple(symbols[place : place + 2]) == pair
        joined.append("".join(pair) if together else symbols[place])
        place += 2 if together else 1
    return joined


def tokens_of(vocabulary: Vocabulary, ids: Sequence[int]) -> list[str]:
    """The token of each id. Raises ValueError for one that the vocabulary lacks."""
    tokens = {number: token for token, number in vocabulary.items()}
    for number in ids:
        if number not in tokens:
            raise ValueError(f"id {number} is not in the vocabulary of {len(tokens)} tokens")
    return [tokens[number] for number in ids]


def token_bytes(token: str) -> bytes:
    """The bytes that a token's characters stand for.

    >>> token_bytes("Ġa")
    b' a'
    """
    alphabet = byte_alphabet()
    for character in token:
        if character not in alphabet:
            raise ValueError(f"token {token!r} has {character!r}, which stands for no byte")
    return bytes(alphabet.index(character) for character in token)


def text_of(parts: Iterable[bytes]) -> str:
    """The text of bytes that come in parts, which may end within a character."""
    return b"".join(parts).decode("utf-8", errors="replace")
