"""The tokenizer: text to token ids and back."""

import codecs
import functools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from npgpt.errors import TokenizerError
from npgpt.tokenizer import byte_alphabet
from npgpt.tokenizer.checks import check
from npgpt.tokenizer.merge import Merges, merge
from npgpt.tokenizer.special import Allowed, check_text, cut
from npgpt.tokenizer.split import split

END_OF_TEXT = "<|endoftext|>"

# The ids of this many words are kept, since a text repeats its words; but not of words longer
# than this, which are seldom met twice and would take the memory of many.
_CACHED_WORDS = 1 << 16
_CACHED_LENGTH = 32


@dataclass(frozen=True)
class Tokenizer:
    """GPT-2's byte-level byte-pair encoding.

    `vocab` gives the id of each ordinary token, written in GPT-2's byte alphabet; `merges` are
    the pairs of such tokens that are joined, most urgent first; `special_tokens` gives the ids
    of texts that are tokens as they stand. All ids together are 0 … n − 1.

    Raises TokenizerError where these contradict each other.

    >>> from npgpt.tokenizer.training import train
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
        check(self.vocab, self.merges, self.special_tokens)

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

        Raises TokenizerError for a name in `allowed_special` that is not a special token, and
        for a text with a lone surrogate, which has no UTF-8.
        """
        check_text(text)
        cached = self._encode_short_word
        ids: list[int] = []
        for piece in cut(text, self.special_tokens, allowed_special):
            if isinstance(piece, int):
                ids.append(piece)
                continue
            for word in split(piece):
                ids += cached(word) if len(word) <= _CACHED_LENGTH else self._encode_word(word)
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that ids stand for, which need not be whole characters.

        Raises TokenizerError for an id that the vocabulary lacks.
        """
        return b"".join([self._bytes_of(token) for token in ids])

    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for, where bytes that are not UTF-8 become U+FFFD.

        No space is added, removed or moved. Raises TokenizerError for an id that the vocabulary
        lacks.
        """
        return self.decode_bytes(ids).decode(errors="replace")

    def _encode_word(self, word: str) -> list[int]:
        ids = self._byte_ids
        return merge([ids[byte] for byte in word.encode()], self._merges)

    @functools.cached_property
    def _encode_short_word(self) -> Callable[[str], list[int]]:
        return functools.lru_cache(_CACHED_WORDS)(self._encode_word)

    @functools.cached_property
    def _byte_ids(self) -> list[int]:
        return [self.vocab[letter] for letter in byte_alphabet.to_printable(bytes(range(256)))]

    @functools.cached_property
    def _merges(self) -> Merges:
        vocab = self.vocab
        return {
            (vocab[left], vocab[right]): (rank, vocab[left + right])
            for rank, (left, right) in enumerate(self.merges)
        }

    @functools.cached_property
    def _token_bytes(self) -> dict[int, bytes]:
        ordinary = {id_: byte_alphabet.to_bytes(token) for token, id_ in self.vocab.items()}
        return ordinary | {id_: token.encode() for token, id_ in self.special_tokens.items()}

    def _bytes_of(self, token: int) -> bytes:
        try:
            return self._token_bytes[operator.index(token)]
        except (KeyError, TypeError):
            raise TokenizerError(
                f"token id {token!r} is unknown; give whole numbers, 0 to {self.vocab_size - 1}"
            ) from None


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


def incremental_decoder(tokenizer: Tokenizer) -> IncrementalDecoder:
    """A decoder that never gives half a character.

    All that it gave, joined, is `tokenizer.decode` of all ids pushed, also where the bytes are
    not UTF-8.

    >>> from npgpt.tokenizer.training import train
    >>> tokenizer = train([], vocab_size=257)
    >>> decoder = incremental_decoder(tokenizer)
    >>> [decoder.push(token) for token in tokenizer.encode("é!")], decoder.finish()
    (['', 'é', '!'], '')
    """
    return IncrementalDecoder(tokenizer, codecs.getincrementaldecoder("utf-8")("replace"))
