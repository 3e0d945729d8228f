"""Tokenizer: text to token ids and back."""

import codecs
import functools
import itertools
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from npgpt._quoting import brief
from npgpt.errors import TokenizerError
from npgpt.tokenizer._byte_alphabet import to_bytes, to_printable
from npgpt.tokenizer._checks import check_tokenizer
from npgpt.tokenizer._merge import Merges, merge
from npgpt.tokenizer._places import character_lengths, runs
from npgpt.tokenizer._special import Allowed, check_text, cut_special
from npgpt.tokenizer._words import words

END_OF_TEXT = "<|endoftext|>"

# The ids of this many words are kept, since a text repeats its words; but not of words of more
# bytes than this, which are seldom met twice and would take the memory of many.
_CACHED_WORDS = 1 << 17
_CACHED_LENGTH = 64


@dataclass(frozen=True, repr=False)
class Tokenizer:
    """GPT-2's byte-level byte-pair encoding.

    `vocab` gives the id of each ordinary token, written in GPT-2's byte alphabet; `merges` are
    the pairs of such tokens that are joined, most urgent first; `special_tokens` gives the ids
    of texts that are tokens as they stand. All ids together are 0 … n − 1.

    Raises TokenizerError where these contradict each other.

    >>> from npgpt.tokenizer._training import train
    >>> tokenizer = train(["to be or not to be"], vocab_size=260)
    >>> tokenizer.encode("to be<|endoftext|>", allowed_special="all")
    [257, 258, 259]
    >>> tokenizer.decode([257, 258, 259])
    'to be<|endoftext|>'
    """

    vocab: dict[str, int]
    merges: tuple[tuple[str, str], ...]
    special_tokens: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_tokenizer(self.vocab, self.merges, self.special_tokens)

    def __repr__(self) -> str:
        return (
            f"Tokenizer({self.vocab_size} tokens, {len(self.merges)} merges, "
            f"special: {brief(self.special_tokens)})"
        )

    def __hash__(self) -> int:
        # Dicts have none; tokenizers that differ are seldom of these same sizes.
        return hash((len(self.vocab), len(self.merges), frozenset(self.special_tokens.items())))

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[object, ...]]:
        # Pickled and copied without its cache, which does not pickle.
        return type(self), (self.vocab, self.merges, self.special_tokens)

    @property
    def vocab_size(self) -> int:
        """How many ids there are, those of special tokens included."""
        return len(self.vocab) + len(self.special_tokens)

    @property
    def end_of_text(self) -> int | None:
        """The id of `<|endoftext|>`, or None where that is not a special token."""
        return self.special_tokens.get(END_OF_TEXT)

    def encode(self, text: str, *, allowed_special: Allowed = frozenset()) -> list[int]:
        """The ids of a text, such that `decode` gives the text again.

        A special token in the text becomes its id only where `allowed_special` names it, or is
        "all"; of two that begin at one place, the longer. Else it is ordinary text.

        Any str is a text, of NUL, other controls and combining marks too; nothing is normalized.
        Raises TokenizerError for anything else, for a text with a lone surrogate, which has no
        UTF-8, and for a name in `allowed_special` that is not a special token.
        """
        check_text(text)
        ids: list[int] = []
        for piece in cut_special(text, self.special_tokens, allowed_special):
            if isinstance(piece, int):
                ids.append(piece)
                continue
            for several in words(piece):
                ids += itertools.chain.from_iterable(map(self._word_ids.__getitem__, several))
        return ids

    def encode_bytes(self, data: bytes) -> list[int]:
        """The ids of bytes, which need not be UTF-8, such that `decode_bytes` gives them again.

        Where they are a text, these are its ids. Each run of bytes that are none is a word of its
        own. Raises TokenizerError for anything but bytes.

        >>> from npgpt.tokenizer._training import train
        >>> train(["to be or not to be"], vocab_size=260).encode_bytes(b"to\\xff be")
        [257, 187, 258]
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TokenizerError(f"{brief(data)} is not bytes; give bytes, or a text to `encode`")
        ids: list[int] = []
        for part, is_text in runs(bytes(data)):
            ids += self.encode(part.decode()) if is_text else self._encode_word(part)
        return ids

    def _encode_word(self, word: bytes) -> Iterable[int]:
        return self._word_ids[word]

    def offsets(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        """For each id, (start, end) of the characters of `decode(ids)` that hold its bytes.

        An id of part of a character has the place of all of it, so that neighbours can overlap.

        >>> from npgpt.tokenizer._training import train
        >>> tokenizer = train(["to be or not to be"], vocab_size=260)
        >>> tokenizer.offsets(tokenizer.encode("to be é"))
        [(0, 2), (2, 5), (5, 6), (6, 7), (6, 7)]
        """
        listed = _listed(ids)
        lengths = [len(self.decode_bytes([token])) for token in listed]
        of_byte: list[int] = []  # the character that each byte is of
        for place, (length, _) in enumerate(character_lengths(self.decode_bytes(listed))):
            of_byte += [place] * length
        ends = list(itertools.accumulate(lengths))
        return [
            (of_byte[end - length], of_byte[end - 1] + 1)
            for length, end in zip(lengths, ends, strict=True)
        ]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that ids stand for, which need not be whole characters.

        Raises TokenizerError for an id that the vocabulary lacks, and for anything but a list, an
        array or another iterable of whole numbers. A boolean is none, and bytes are no ids.
        """
        ids = _listed(ids)
        try:
            return b"".join(map(self._token_bytes.__getitem__, map(operator.index, ids)))
        except (KeyError, TypeError):
            known_ids(ids, self.vocab_size)
            raise

    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for, where bytes that are not UTF-8 become U+FFFD.

        No space is added, removed or moved. Raises TokenizerError for an id that the vocabulary
        lacks.
        """
        return self.decode_bytes(ids).decode(errors="replace")

    @functools.cached_property
    def _word_ids(self) -> "_WordIds":
        return _WordIds(self._byte_ids, self._merges)

    @functools.cached_property
    def _byte_ids(self) -> list[int]:
        return [self.vocab[letter] for letter in to_printable(bytes(range(256)))]

    @functools.cached_property
    def _merges(self) -> Merges:
        vocab = self.vocab
        return {
            (vocab[left], vocab[right]): (rank, vocab[left + right])
            for rank, (left, right) in enumerate(self.merges)
        }

    @functools.cached_property
    def _token_bytes(self) -> "_TokenBytes":
        return _TokenBytes(self.vocab, self.special_tokens)


def known_ids(ids: Iterable[int], count: int) -> list[int]:
    """The ids as a list; TokenizerError unless they are whole numbers, 0 to count − 1."""
    listed = _listed(ids)
    for token in listed:
        try:
            is_known = 0 <= operator.index(token) < count
        except TypeError:
            is_known = False
        if not is_known:
            raise TokenizerError(
                f"token id {brief(token)} is unknown; give whole numbers, 0 to {count - 1}"
            )
    return list(map(operator.index, listed))


def _listed(ids: Iterable[int]) -> list[int]:
    if isinstance(ids, (str, bytes, bytearray)):
        raise TokenizerError(f"{brief(ids)} is no list of token ids; give whole numbers")
    try:
        listed = list(ids)
    except TypeError:
        raise TokenizerError(f"{brief(ids)} is no list of token ids; give a list") from None
    if not {bool, np.bool_}.isdisjoint(map(type, listed)):
        raise TokenizerError("the token ids hold a boolean; give whole numbers")
    return listed


class _WordIds(dict[bytes, tuple[int, ...]]):
    """The ids of a word, in UTF-8; those of short words are kept.

    Two threads may fill it at once: what they write is the same.
    """

    def __init__(self, byte_ids: list[int], merges: Merges) -> None:
        self._byte_ids = byte_ids
        self._merges = merges

    def __missing__(self, word: bytes) -> tuple[int, ...]:
        ids = tuple(merge(list(map(self._byte_ids.__getitem__, word)), self._merges))
        if len(word) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_WORDS:
                self.clear()
            self[word] = ids
        return ids


class _TokenBytes(dict[int, bytes]):
    """The bytes of a token, by its id; found when first asked for, and kept."""

    def __init__(self, vocab: Mapping[str, int], special_tokens: Mapping[str, int]) -> None:
        ids = {**vocab, **special_tokens}
        self._tokens = sorted(ids, key=ids.__getitem__)  # by id, since ids are 0 … n − 1
        self._special_tokens = special_tokens

    def __missing__(self, id_: int) -> bytes:
        if not 0 <= id_ < len(self._tokens):
            raise KeyError(id_)
        token = self._tokens[id_]
        special = token in self._special_tokens
        self[id_] = token.encode() if special else to_bytes(token)
        return self[id_]


@dataclass(frozen=True)
class IncrementalDecoder:
    """Text out of ids that come one by one; see `incremental_decoder`."""

    _tokenizer: Tokenizer
    _utf8: codecs.IncrementalDecoder

    def push(self, token: int) -> str:
        """The characters that this id completes: none, one or several."""
        return self._utf8.decode(self._tokenizer.decode_bytes([token]))

    def finish(self) -> str:
        """U+FFFD where the ids ended within a character, else nothing."""
        return self._utf8.decode(b"", final=True)


def whole_characters(data: bytes) -> str:
    """The characters that begin and end within these bytes.

    A character is not there before its last byte is, nor one that began before: what a decoder of
    all bytes would make U+FFFD at either end, for now, is left out.

    >>> whole_characters("é日".encode()), whole_characters("é日".encode()[1:-1])
    ('é日', '')
    """
    begun_before = 0
    while begun_before < min(len(data), 3) and data[begun_before] & 0xC0 == 0x80:
        begun_before += 1
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    return utf8.decode(data[begun_before:])


def incremental_decoder(tokenizer: Tokenizer) -> IncrementalDecoder:
    """A decoder that never gives half a character.

    All that it gave, joined, is `tokenizer.decode` of all ids pushed, also where the bytes are
    not UTF-8.

    >>> from npgpt.tokenizer._training import train
    >>> tokenizer = train([], vocab_size=257)
    >>> decoder = incremental_decoder(tokenizer)
    >>> [decoder.push(token) for token in tokenizer.encode("é!")], decoder.finish()
    (['', 'é', '!'], '')
    """
    return IncrementalDecoder(tokenizer, codecs.getincrementaldecoder("utf-8")("replace"))
