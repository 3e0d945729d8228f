"""Token pieces: tokens as Python literals for people, and as strings for JSON."""

from collections.abc import Iterable

from npgpt.tokenizer._encoding import Tokenizer


def piece(tokenizer: Tokenizer, token: int) -> str:
    r"""A token as a Python literal on one line: a text, or bytes where it is part of a character.

    >>> from npgpt.tokenizer._training import train
    >>> tokenizer = train([], vocab_size=257)
    >>> [piece(tokenizer, token) for token in tokenizer.encode("a\né")]
    ["'a'", "'\\n'", "b'\\xc3'", "b'\\xa9'"]
    """
    data = tokenizer.decode_bytes([token])
    try:
        return repr(data.decode())
    except UnicodeDecodeError:
        return repr(data)


def pieces(tokenizer: Tokenizer | None, tokens: Iterable[int]) -> list[str] | None:
    r"""Tokens as texts for JSON, a byte that is part of a character as \x and two digits."""
    if tokenizer is None:
        return None
    return [tokenizer.decode_bytes([t]).decode(errors="backslashreplace") for t in tokens]
