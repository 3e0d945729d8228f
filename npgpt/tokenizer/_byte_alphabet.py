"""Byte alphabet of GPT-2: each of the 256 bytes as one printable character.

Vocabulary files are text, so a token, which is a string of bytes, is written in an alphabet where
no byte is a space or a control character. Source: `bytes_to_unicode` in OpenAI's encoder.py.
"""

from npgpt._quoting import quoted
from npgpt.errors import TokenizerError

# Bytes that are visible characters in Latin-1 stand for themselves. 0xAD, the soft hyphen, is not
# visible.
_VISIBLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_REST = tuple(sorted(set(range(256)) - set(_VISIBLE)))
_FIRST_STAND_IN = 0x100

# The 256 characters in GPT-2's order, which is the order of their code points and, in GPT-2's
# vocabulary, of their ids: the visible bytes first, then the stand-ins of all the others.
ALPHABET = "".join(
    [*map(chr, _VISIBLE), *(chr(_FIRST_STAND_IN + index) for index in range(len(_REST)))]
)

_TO_BYTE = dict(zip(ALPHABET, (*_VISIBLE, *_REST), strict=True))
_TO_CHARACTER = {byte: character for character, byte in _TO_BYTE.items()}


def to_printable(data: bytes) -> str:
    """The bytes written in the alphabet, one character each.

    >>> to_printable("a né".encode())
    'aĠnÃ©'
    """
    # Latin-1 maps byte b to the character of code point b, which is what translate looks up.
    return data.decode("latin-1").translate(_TO_CHARACTER)


def to_bytes(printable: str) -> bytes:
    """The bytes that a string in the alphabet stands for: the inverse of `to_printable`.

    Raises TokenizerError for a character outside the alphabet.

    >>> to_bytes("aĠnÃ©").decode()
    'a né'
    """
    try:
        return bytes([_TO_BYTE[character] for character in printable])
    except KeyError as error:
        raise TokenizerError(
            f"{quoted(printable)} holds {error.args[0]!r}, which is not one of the 256 characters "
            "that stand for bytes in GPT-2's vocabulary; a token must be written in these"
        ) from None
