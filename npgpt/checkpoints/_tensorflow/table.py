"""Sorted tables of keys and values, the form of LevelDB's files and of TensorFlow's indexes.

    blocks      of entries, sorted by key; then one of meta-information, which TensorFlow leaves
                empty, and the index: an entry for each block, whose key is no less than the
                block's keys and whose value says where the block is
    footer      48 bytes: where the meta-information and the index are, zeros, and MAGIC

Where a block is: two varints, its first byte and its size. After its bytes come one that names
its compression (0: none, all that TensorFlow's indexes have) and the masked CRC-32C of both.

    entry       varints of how many bytes its key shares with the one before, has of its own, and
                its value has; then those of its key and its value
    block       entries; then, in 4 bytes each, where those are that share nothing, and how many
                they are

Source: https://github.com/google/leveldb/blob/main/doc/table_format.md, and TensorFlow's
tensorflow/core/lib/io/format.cc. Where the official readers are lenient (keys out of order, blocks
that overlap, places that contradict the entries) this one refuses.
"""

from collections.abc import Iterator

from npgpt._quoting import quoted
from npgpt.checkpoints._tensorflow.crc32c import crc32c, masked
from npgpt.checkpoints._tensorflow.protobuf import read_varint
from npgpt.errors import CheckpointError

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5
_PLACE = 4  # bytes of where an entry is that shares nothing
# Keys that share their start take more memory than file, so this bounds what a key may ask for.
_LONGEST_KEY = 512
_COMPRESSIONS = {1: "snappy", 2: "zstd"}


def table_entries(data: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values, in order, each read and checked as it is asked for.

    Raises CheckpointError, starting with `where`, for anything but an undamaged, uncompressed
    table.
    """
    body, marked = len(data) - _FOOTER, len(data) - len(MAGIC)
    if body < 0 or data[marked:] != MAGIC:
        raise CheckpointError(
            f"{where}: does not end as TensorFlow's index files do; it is another file, or cut "
            "short: fetch it again"
        )
    _, _, at = _where(data, body, marked, f"{where}: footer")
    index_begin, size, _ = _where(data, at, marked, f"{where}: footer")
    index = _block(data, index_begin, size, body, f"{where}: index")
    reached = 0
    last: bytes | None = None  # None: before all keys, even the empty one
    for upper, value in _entries(index, f"{where}: index"):
        begin, size, used = _where(value, 0, len(value), f"{where}: index")
        place = f"{where}: block at byte {begin}"
        if begin < reached or used != len(value):
            raise CheckpointError(f"{place}: overlaps the block before, or its place is misspelt")
        reached = begin + size + _TRAILER
        for key, content in _entries(_block(data, begin, size, index_begin, place), place):
            if key > upper or (last is not None and key <= last):
                raise CheckpointError(
                    f"{place}: key {_quoted(key)} is out of order, or there twice"
                )
            yield key, content
            last = key
        last = upper


def _where(data: bytes, at: int, end: int, where: str) -> tuple[int, int, int]:
    """The first byte and the size of a block, and the place after the two numbers."""
    begin, at = read_varint(data, at, end, where)
    size, at = read_varint(data, at, end, where)
    return begin, size, at


def _block(data: bytes, begin: int, size: int, end: int, where: str) -> bytes:
    """The bytes of a block, which lies before `end`, once their checksum is compared."""
    after = begin + size
    if after + _TRAILER > end:
        raise CheckpointError(
            f"{where}: bytes {begin} to {after} of a block go past byte {end}, where it has to end"
        )
    crc = int.from_bytes(data[after + 1 : after + _TRAILER], "little")
    if masked(crc32c(data[begin : after + 1])) != crc:
        raise CheckpointError(
            f"{where}: its checksum is wrong; the file is damaged: fetch it again"
        )
    if data[after]:
        form = _COMPRESSIONS.get(data[after], f"form {data[after]}")
        raise CheckpointError(
            f"{where}: compressed ({form}), as TensorFlow's indexes never are; save it again"
        )
    return data[begin:after]


def _entries(block: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block, of which there is at least one."""
    starts = int.from_bytes(block[-_PLACE:], "little")
    end = len(block) - _PLACE * (starts + 1)
    if end <= 0 or not starts:
        raise CheckpointError(f"{where}: {len(block)} bytes, of {starts} starts and no entry")
    at = passed = 0
    key = b""
    while at < end:
        start = end + _PLACE * passed
        is_start = passed < starts and at == int.from_bytes(block[start : start + _PLACE], "little")
        place = f"{where}: entry at byte {at}"
        shared, at = read_varint(block, at, end, place)
        own, at = read_varint(block, at, end, place)
        size, at = read_varint(block, at, end, place)
        if shared > len(key) or (is_start and shared):
            raise CheckpointError(f"{place}: shares {shared} bytes with a key that has fewer")
        if shared + own > _LONGEST_KEY:
            raise CheckpointError(
                f"{place}: a key of {shared + own} bytes; npgpt reads at most {_LONGEST_KEY}"
            )
        if own + size > end - at:
            raise CheckpointError(f"{place}: takes {own + size} bytes, but {end - at} are left")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + size]
        at += own + size
        passed += is_start
    if passed != starts:
        raise CheckpointError(f"{where}: its list of starts contradicts its entries")


def _quoted(key: bytes) -> str:
    return quoted(key.decode(errors="backslashreplace"))
