"""Places of bytes in a text: which character each byte belongs to, whether UTF-8 or not."""

from collections.abc import Iterator

_LONGEST = 4  # bytes of a character


def character_lengths(data: bytes) -> Iterator[tuple[int, bool]]:
    r"""For each character of `data.decode(errors="replace")`: of how many bytes, and if of its own.

    Its own are its UTF-8; else it is a U+FFFD in place of as many bytes as one error has.

    >>> list(character_lengths("a日".encode() + b"\xe6\x97!\xff"))
    [(1, True), (3, True), (2, False), (1, True), (1, False)]
    """
    at = 0
    for character in data.decode(errors="replace"):
        length = len(character.encode())
        is_utf8 = data[at : at + length] == character.encode()
        if not is_utf8:
            try:
                data[at : at + _LONGEST].decode()
            except UnicodeDecodeError as error:
                length = error.end - error.start
        yield length, is_utf8
        at += length


def runs(data: bytes) -> Iterator[tuple[bytes, bool]]:
    r"""The data in order, as the longest parts that are UTF-8, and those that are not.

    >>> list(runs(b"to \xff\xfe be"))
    [(b'to ', True), (b'\xff\xfe', False), (b' be', True)]
    """
    begin = end = 0
    before = True
    for length, is_utf8 in character_lengths(data):
        if is_utf8 != before and end > begin:
            yield data[begin:end], before
            begin = end
        before = is_utf8
        end += length
    if end > begin:
        yield data[begin:end], before
