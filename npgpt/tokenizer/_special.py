"""Special tokens in a text: where they are allowed, they are cut out of it."""

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal

from npgpt._quoting import brief
from npgpt.errors import TokenizerError

Allowed = AbstractSet[str] | Literal["all"]


def cut_special(
    text: str, special_tokens: Mapping[str, int], allowed: Allowed
) -> Iterator[str | int]:
    """The text in order, as pieces of ordinary text and ids of the allowed special tokens.

    Of two special tokens that begin at one place the longer is taken. Raises TokenizerError for
    an allowed name that is not a special token.

    >>> list(cut_special("a<|endoftext|>b", {"<|endoftext|>": 256}, "all"))
    ['a', 256, 'b']
    >>> list(cut_special("a<|endoftext|>b", {"<|endoftext|>": 256}, frozenset()))
    ['a<|endoftext|>b']
    """
    everything = isinstance(allowed, str) and allowed == "all"
    names = frozenset(special_tokens) if everything else allowed
    if not isinstance(names, AbstractSet) or not names <= special_tokens.keys():
        raise TokenizerError(
            f"allowed_special is {brief(allowed)}; give 'all' or a set out of "
            f"{brief(sorted(special_tokens))}"
        )
    # The pattern tries all its names at each place, so it gets those only that are somewhere.
    present = [name for name in names if name in text]
    if not present:
        return iter((text,))
    longest_first = sorted(present, key=len, reverse=True)
    # A group in the pattern keeps the separators among the pieces, at the odd places.
    pieces = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)
    return (special_tokens[p] if place % 2 else p for place, p in enumerate(pieces))


def check_text(text: str) -> None:
    r"""Raise TokenizerError for what is no text, and for a lone surrogate, which has no UTF-8.

    Surrogates are halves of a character in UTF-16. Python's files and JSON can put single ones
    into a text; to leave them out, or to put U+FFFD there, would encode another text.

    >>> check_text("ab\ud800")
    Traceback (most recent call last):
    npgpt.errors.TokenizerError: '\ud800' at position 2 is a lone surrogate; put a character there
    """
    if not isinstance(text, str):
        raise TokenizerError(f"{brief(text)} is no text; give a str")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"{text[error.start]!r} at position {error.start} is a lone surrogate; "
            "put a character there"
        ) from None
