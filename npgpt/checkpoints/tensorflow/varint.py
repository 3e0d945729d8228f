"""Whole numbers of 1 to 10 bytes, which tables and protocol buffers share.

7 bits in a byte, the lowest first; the top bit of a byte says that another follows.

Source: https://protobuf.dev/programming-guides/encoding#varints.
"""

from npgpt.errors import CheckpointError

_MOST = 10  # bytes, for 64 bits
_WORD = 2**64


def read(data: bytes, at: int, end: int, where: str) -> tuple[int, int]:
    """The number at byte `at` of the data, from 0 to 2^64-1, and the place after it.

    Raises CheckpointError, starting with `where`, for one that goes past `end` or 64 bits.

    >>> read(bytes([0xAC, 0x02]), 0, 2, "an example")
    (300, 2)
    """
    if at < end and data[at] < 0x80:  # nine in ten
        return data[at], at + 1
    value = 0
    for i, byte in enumerate(data[at : min(at + _MOST, end)]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80 and value < _WORD:
            return value, at + i + 1
    if end - at < _MOST:
        raise CheckpointError(f"{where}: the number at byte {at} is cut short")
    raise CheckpointError(f"{where}: the number at byte {at} is over 64 bits long")


def signed(value: int) -> int:
    """The int64 whose bits are those of a number from 0 to 2^64-1.

    >>> signed(2**64 - 1)
    -1
    """
    return value - _WORD if value >= _WORD // 2 else value
