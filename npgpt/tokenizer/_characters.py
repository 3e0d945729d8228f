"""Tokenizer of single characters, as nanoGPT's models of Shakespeare have."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from npgpt._quoting import brief
from npgpt.errors import TokenizerError
from npgpt.tokenizer._encoding import Tokenizer, known_ids
from npgpt.tokenizer._special import Allowed, check_text, cut_special


@dataclass(frozen=True, repr=False)
class CharacterTokenizer(Tokenizer):
    """Each token is one character: `vocab` gives its id; there are no merges.

    Raises TokenizerError where ids are not 0 … n − 1, and for what is not one character.

    >>> tokenizer = CharacterTokenizer({"a": 0, "é": 1}, ())
    >>> tokenizer.encode("éa"), tokenizer.decode([1, 0, 0])
    ([1, 0], 'éaa')
    >>> tokenizer.encode("ab")
    Traceback (most recent call last):
    npgpt.errors.TokenizerError: 'b' at position 1 is none of the 2 characters that the model knows
    """

    def __post_init__(self) -> None:
        for character in self.vocab:
            if not isinstance(character, str) or len(character) != 1:
                raise TokenizerError(f"{brief(character)} is not one character")
            check_text(character)
        if not self.vocab or sorted(self.vocab.values()) != [*range(len(self.vocab))]:
            raise TokenizerError(f"the ids of {len(self.vocab)} characters are not 0, 1 and so on")
        if self.merges or self.special_tokens:
            raise TokenizerError("characters have no merges and no special tokens")

    def __repr__(self) -> str:
        return f"CharacterTokenizer({self.vocab_size} characters)"

    def __hash__(self) -> int:
        return hash(len(self.vocab))

    def encode(self, text: str, *, allowed_special: Allowed = frozenset()) -> list[int]:
        """The ids of a text's characters; TokenizerError for one that has none."""
        check_text(text)
        cut_special(text, self.special_tokens, allowed_special)
        try:
            return list(map(self.vocab.__getitem__, text))
        except KeyError:
            place = next(at for at, character in enumerate(text) if character not in self.vocab)
            raise TokenizerError(
                f"{text[place]!r} at position {place} is none of the {self.vocab_size} characters "
                "that the model knows"
            ) from None

    def _encode_word(self, word: bytes) -> list[int]:
        raise TokenizerError(f"{brief(word)} is not UTF-8, and the model knows characters only")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The characters that ids stand for, in UTF-8; TokenizerError for an unknown id."""
        characters = self._characters
        return "".join(characters[id_] for id_ in known_ids(ids, len(characters))).encode()

    @functools.cached_property
    def _characters(self) -> list[str]:
        return sorted(self.vocab, key=self.vocab.__getitem__)
