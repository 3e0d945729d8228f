"""Pre-tokenizer by array operations: the words of `split` as UTF-8, several times as fast."""

import functools
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from npgpt.tokenizer._split import WHITE_SPACE, split
from npgpt.tokenizer._unicode_table import LETTERS, NUMBERS

# So many characters at a time (more where a word goes on) take little memory, and the arrays stay
# in the processor's cache.
CHUNK = 1 << 16
# For fewer than this, calling the array operations alone takes longer than `split` does.
SHORT = 800

# A place where a word always ends and the next begins, whatever surrounds it. (Python's \S leaves
# out all White_Space and more; of the white space after it, the two that every text has.)
_BETWEEN_WORDS = re.compile(r"\S(?=[ \n])")

_OTHER, _WHITE, _LETTER, _NUMBER = range(4)
CONTRACTED = ("s", "t", "re", "ve", "m", "ll", "d")

# A byte that UTF-8 never has.
_SEPARATOR = 0xFF


def words(text: str) -> Iterator[list[bytes]]:
    """The words of a text in order, some thousand at a time: those of `split`, in UTF-8.

    The text holds no lone surrogate.

    >>> [word for some in words("It's  1,024") for word in some]
    [b'It', b"'s", b' ', b' 1', b',', b'024']
    """
    begin = 0
    while len(text) - begin > CHUNK and (end := _BETWEEN_WORDS.search(text, begin + CHUNK)):
        yield _words(text[begin : end.end()])
        begin = end.end()
    yield _words(text[begin:])


def _words(text: str) -> list[bytes]:
    return [word.encode() for word in split(text)] if len(text) < SHORT else by_arrays(text)


def by_arrays(text: str) -> list[bytes]:
    """All words of a text that has any. Takes about 40 bytes of memory a character.

    Words begin where one kind of character follows another, but for spaces, the last character
    of white space before a word, and contractions.
    """
    data = np.frombuffer(text.encode(), np.uint8)
    # White space is added so that looking ahead stays within the array; the end of a text and
    # white space there mean the same to all that comes before.
    padded = text + "\n\n\n"
    plain = text.isascii()
    codes = np.frombuffer(
        padded.encode("ascii" if plain else "utf-32-le"), "u1" if plain else "<u4"
    )
    kinds = _kinds().take(codes)
    starts = np.zeros(len(codes), bool)
    np.not_equal(kinds[1:], kinds[:-1], out=starts[1:])
    before_word = starts[1:] & (kinds[:-1] == _WHITE)
    starts[:-1] |= before_word
    starts[1:] &= ~(before_word & (codes[:-1] == ord(" ")))
    starts[0] = True
    _contract(starts, codes)
    starts = starts[: len(text)]
    if not plain:
        first_bytes = (data & 0xC0) != 0x80  # of each character
        spread = np.zeros(len(data), bool)
        spread[first_bytes] = starts
        starts = spread
    return _cut(data, starts)


def _contract(starts: npt.NDArray[np.bool_], codes: npt.NDArray[np.unsignedinteger]) -> None:
    """Make each of 's 't 'm 'd 're 've 'll a word where its apostrophe begins one."""
    quotes = np.flatnonzero(codes == ord("'"))
    quotes = quotes[starts[quotes]]
    for letters in CONTRACTED:
        apostrophes = quotes
        for distance, letter in enumerate(letters, start=1):
            apostrophes = apostrophes[codes[apostrophes + distance] == ord(letter)]
        starts[apostrophes + 1] = False
        starts[apostrophes + 1 + len(letters)] = True


def _cut(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.bool_]) -> list[bytes]:
    """The bytes in pieces, each of which begins at a True; the first byte's must be."""
    # Where each byte goes when a separator is put before every piece.
    moved = np.cumsum(starts.view(np.int8) + np.int8(1), dtype=np.intp)
    separate = np.full(int(moved[-1]) + 1, _SEPARATOR, np.uint8)
    separate[moved] = data
    return separate[2:].tobytes().split(bytes([_SEPARATOR]))


@functools.cache
def _kinds() -> npt.NDArray[np.uint8]:
    """The kind of each code point."""
    kinds = np.full(0x110000, _OTHER, np.uint8)
    for kind, ranges in ((_WHITE, WHITE_SPACE), (_LETTER, LETTERS), (_NUMBER, NUMBERS)):
        for word in ranges.split():
            first, _, last = word.partition("-")
            kinds[int(first, 16) : int(last or first, 16) + 1] = kind
    return kinds
