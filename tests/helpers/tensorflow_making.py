"""TensorFlow checkpoints made by hand, good and bad, byte by byte."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

INDEX, DATA = "model.ckpt.index", "model.ckpt.data-00000-of-00001"
MAGIC = bytes.fromhex("57fb808b247547db")
FOUR = bytes(range(1, 5))  # the data of `entry()`
MANY = 2**64  # what a varint counts below: negative numbers are written as they are modulo this

Items = Sequence[tuple[bytes, bytes]]  # keys and values
Files = dict[str, bytes]


def slow_crc(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 * (register & 1))
    return register ^ 0xFFFFFFFF


def bytewise_crc(data: bytes) -> int:
    """The same, eight bits at a time."""
    register = 0xFFFFFFFF
    for byte in data:
        register = _TABLE[(register ^ byte) & 255] ^ (register >> 8)
    return register ^ 0xFFFFFFFF


# What is left of a byte: the register after it is one that starts with it and has no other bits.
_TABLE = [slow_crc(bytes([255 - byte])) ^ 0xFF000000 for byte in range(256)]


def slow_mask(crc: int) -> bytes:
    """The four bytes in which TensorFlow writes a checksum."""
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32).to_bytes(4, "little")


def checksum(data: bytes) -> bytes:
    return slow_mask(bytewise_crc(data))


def varint(value: int) -> bytes:
    value %= MANY
    groups = [value & 127]
    while value := value >> 7:
        groups.append(value & 127)
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def part(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def shape(sizes: Iterable[int]) -> bytes:
    return b"".join(part(2, number(1, size)) for size in sizes)


def header(*, shards: int = 1, endianness: int = 0, version: bytes = number(1, 1)) -> bytes:
    order = number(2, endianness) if endianness else b""
    return number(1, shards) + order + part(3, version)


def entry(
    *,
    dtype: int = 1,
    sizes: Iterable[int] = (1,),
    shard: int = 0,
    offset: int = 0,
    size: int = 4,
    crc: bytes = checksum(FOUR),
    more: bytes = b"",
) -> bytes:
    """What an index says of a tensor: unless told otherwise, of one float32."""
    places = number(3, shard) + number(4, offset) + number(5, size)
    return number(1, dtype) + part(2, shape(sizes)) + places + b"\x35" + crc + more


def item(key: bytes, value: bytes, *, shared: int = 0) -> bytes:
    """An entry of a block; `shared` bytes of its key are left out."""
    return (
        b"".join(varint(n) for n in (shared, len(key) - shared, len(value))) + key[shared:] + value
    )


def block(items: Items, *, starts: Sequence[int] = (0,), count: int | None = None) -> bytes:
    """A block of entries that share nothing, without its trailer."""
    return packed([item(key, value) for key, value in items], starts=starts, count=count)


def packed(
    items: Iterable[bytes], *, starts: Sequence[int] = (0,), count: int | None = None
) -> bytes:
    """A block of entries as they are; `starts`, and how many they are, may be lies."""
    places = b"".join(start.to_bytes(4, "little") for start in starts)
    announced = len(starts) if count is None else count
    return b"".join(items) + places + announced.to_bytes(4, "little")


def closed(block: bytes, *, form: int = 0) -> bytes:
    """A block with its trailer, which names its compression."""
    whole = block + bytes([form])
    return whole + checksum(whole)


def place(begin: int, size: int) -> bytes:
    return varint(begin) + varint(size)


def table(
    blocks: Sequence[bytes],
    *,
    form: int = 0,
    places: Sequence[bytes] | None = None,
    uppers: Sequence[bytes] | None = None,
    index: bytes | None = None,
    index_place: bytes | None = None,
    magic: bytes = MAGIC,
) -> bytes:
    """A table of blocks, in which all but the blocks may be lies.

    Unless told otherwise, the index is that of one block, or two of which the first has the key "".
    """
    data = b""
    true_places = []
    for bytes_of_block in blocks:
        true_places.append(place(len(data), len(bytes_of_block)))
        data += closed(bytes_of_block, form=form)
    meta = place(len(data), 8)
    data += closed(packed([]))
    if index is None:
        keys = uppers or (b"", b"\x7f")[-len(blocks) :]
        index = block(list(zip(keys, places or true_places, strict=False)))
    footer = meta + (index_place or place(len(data), len(index)))
    return data + closed(index) + footer.ljust(40, b"\0") + magic


def one_block(items: Items) -> bytes:
    return table([block(items)])


def bundle(
    entries: Mapping[bytes, bytes], *, head: bytes = header(), data: bytes = FOUR, **more: bytes
) -> Files:
    """The files of a checkpoint with those entries, and other files, their names' dots as __."""
    items = [(b"", head), *entries.items()]
    others = {name.replace("__", "."): content for name, content in more.items()}
    return {INDEX: one_block(items), DATA: data, **others}


def one(head: bytes = header(), **fields: object) -> Files:
    """A checkpoint of one tensor, `a`."""
    return bundle({b"a": entry(**fields)}, head=head)  # type: ignore[arg-type]


def indexed(index: bytes) -> Files:
    return {INDEX: index, DATA: FOUR}


def write(folder: Path, files: Files) -> Path:
    """Write the files, and give the path of the index."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / INDEX
