"""CRC-32C, the checksum of TensorFlow's files, at the speed of memory in NumPy alone.

The register after a message is the message, as a polynomial over GF(2), times x^32, modulo a
polynomial P of degree 32. So what is a multiple of P may be added (by XOR) to the message. P has
multiples of few terms, found by search:

    x^5685 + x^1362 + x^426 + 1
    x^290 + x^136 + x^113 + x^107 + x^32 + 1

The 2^k-th power of such a sum of terms is the sum of the terms' powers, as in any arithmetic modulo
2, so with k = 3 the same holds with bytes in place of bits, and with more, with blocks of bytes.
Thus a stretch at the front of a message can be added to a few places after it, and dropped, until
few bytes are left for the table that takes them one by one.

Source: RFC 3720, section 12.1 and appendix B.4, for CRC-32C; TensorFlow's
tensorflow/core/lib/hash/crc32c.h for the masked form.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt.model._paging import release

POLYNOMIAL = 0x82F63B78  # P without its x^32, the bit of x^0 first
_ONES = 0xFFFFFFFF
# The bytes that take the register from 0 to all ones, which is where CRC-32C starts.
_START = b"\x54\x64\x1f\x64"
_MASK_DELTA, _MASK_SHIFT = 0xA282EAD8, 15
_LARGE, _SMALL = (5685, 1362, 426, 0), (290, 136, 113, 107, 32, 0)
# How far behind a byte those are that it is added to, the nearest first.
_LEVELS = tuple(
    tuple(size * (terms[0] - term) for term in terms[1:])
    for terms, size in ((_LARGE, 8), (_LARGE, 1), (_SMALL, 4), (_SMALL, 1))
)
_CHUNK = 8  # of the largest stretch, that are worked on at a time: they stay in the cache

Bytes = npt.NDArray[np.uint8]


def _table() -> tuple[int, ...]:
    """What each value of the byte that leaves the register adds to what stays."""
    table = []
    for register in range(256):
        for _ in range(8):
            register = (register >> 1) ^ (POLYNOMIAL if register & 1 else 0)
        table.append(register)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes | npt.NDArray[Any]) -> int:
    """The CRC-32C of bytes, or of an array's uint8; memory that they are mapped to is given back.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    message = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    at = _LEVELS[0][-1] - len(_START)
    state = np.concatenate([np.frombuffer(_START, np.uint8), message[:at]])
    if len(message) > at:
        state = _fold(state, message[at:], _LEVELS[0])
    for distances in _LEVELS[1:]:
        kept = distances[-1]
        if len(state) > kept:
            state = _fold(state[:kept], state[kept:], distances)
    register = 0
    for byte in state.tobytes():
        register = _TABLE[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ _ONES


def _fold(state: Bytes, rest: Bytes, distances: tuple[int, ...]) -> Bytes:
    """As many bytes as `state` has, with the same remainder modulo P as `state` and then `rest`."""
    stretch, kept = distances[0], distances[-1]
    size = stretch * _CHUNK
    for begin in range(0, len(rest), size):
        chunk = rest[begin : begin + size]
        work = np.concatenate([state, chunk])
        # To read a page is to get its neighbours, too, so those given back before come again.
        release(rest[max(begin - size, 0) : begin + size])
        for at in range(0, len(chunk), stretch):
            front = work[at : min(at + stretch, len(chunk))]
            for distance in distances:
                work[at + distance : at + distance + len(front)] ^= front
        state = work[-kept:]
    return state


def masked(crc: int) -> int:
    """The form in which TensorFlow writes a checksum: rotated right by 15 bits, plus a constant.

    >>> hex(masked(crc32c(b"")))
    '0xa282ead8'
    """
    rotated = (crc >> _MASK_SHIFT) | (crc << (32 - _MASK_SHIFT))
    return (rotated + _MASK_DELTA) & _ONES
