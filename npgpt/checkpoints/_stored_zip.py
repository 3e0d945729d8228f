"""Zip archives whose members lie in them uncompressed, as torch.save and numpy.savez write them.

Such an archive needs no unpacking: a member is a stretch of the file. The reader goes by the
central directory at the end, checks every local header against it, and refuses whatever these
never write: encryption, comments, several disks, members that share a name or a byte, and
compression unless that is asked for.

Source: APPNOTE.TXT 6.3.10, PKWARE, sections 4.3 and 4.5.3 (zip64).
"""

import mmap
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from npgpt._quoting import quoted
from npgpt.errors import CheckpointError
from npgpt.model._paging import release

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR_64 = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_UNCOUNTED_64 = 12  # bytes of the zip64 end record that its own length leaves out
_SIZES_FOLLOW, _UTF8 = 0x0008, 0x0800  # the flags that change nothing for a reader
_IN_ZIP64 = 0xFFFFFFFF  # stands for a number too large, which is then in the zip64 field
_ZIP64_FIELD = 1
# Extra fields that change nothing of what is read: zip64's numbers, times (NTFS, Info-ZIP), owners
# (Info-ZIP, two forms), Java's mark, and padding of torch's and of tools for Android. Others may:
# Python takes a member's name from Info-ZIP's 0x7075, since 3.12.
_HARMLESS_FIELDS = {_ZIP64_FIELD, 0x000A, 0x5455, 0x7855, 0x7875, 0xCAFE, 0x4246, 0xD935}
STORED, DEFLATED = 0, 8  # methods of compression
_FOLDER = 0x10  # of MS-DOS's attributes
_LEVEL = 0x0006  # flags that say how hard a deflated member was compressed
# Each takes time, an array of an npz 50 µs. GPT-2 XL has 600.
_MAX_MEMBERS = 10_000
_CHUNK = 2**22  # bytes of a checksum that are in memory at a time


@dataclass(frozen=True)
class ZipMember:
    """One member: where its local header and its bytes are, and its CRC-32 (0: not computed).

    `size` counts its bytes, `packed` those that they take in the file.
    """

    name: str
    header: int
    start: int
    size: int
    crc: int
    packed: int
    method: int


def zip_members(
    data: mmap.mmap, where: str, *, methods: Collection[int] = (STORED,)
) -> dict[str, ZipMember]:
    """Every member of the archive by its name.

    Raises CheckpointError, starting with `where`, for anything but an undamaged archive of
    members compressed by one of the `methods`, by default uncompressed.
    """
    count, begin, end = _directory(data, where)
    if count > _MAX_MEMBERS:
        raise CheckpointError(f"{where}: {count} members; npgpt reads at most {_MAX_MEMBERS}")
    by_name: dict[str, ZipMember] = {}
    reached = 0
    for member in sorted(_entries(data, count, begin, end, where, methods), key=lambda m: m.header):
        if member.name in by_name:
            raise CheckpointError(f"{where}: two members are named {quoted(member.name)}")
        if member.header < reached:
            raise CheckpointError(f"{where}: member {quoted(member.name)} overlaps another")
        reached = member.start + member.packed
        if reached > begin:
            raise CheckpointError(
                f"{where}: member {quoted(member.name)} reaches into the directory"
            )
        by_name[member.name] = member
    return by_name


def check_member_sum(data: mmap.mmap, member: ZipMember, where: str) -> None:
    """Read the member and compare its CRC-32 with the one written, if one was.

    Raises CheckpointError, starting with `where`, if they differ.
    """
    if member.crc == 0:  # what torch.save writes where it is told not to compute them
        return
    crc = 0
    if member.size:  # frombuffer refuses an empty stretch
        stretch = np.frombuffer(data, np.uint8, member.size, member.start)
        for start in range(0, member.size, _CHUNK):
            chunk = stretch[start : start + _CHUNK]
            crc = zlib.crc32(chunk.data, crc)
            release(chunk)
    if crc != member.crc:
        raise CheckpointError(
            f"{where}: member {quoted(member.name)} has the checksum {crc:08x}, "
            f"not {member.crc:08x}; the file is damaged: fetch it again"
        )


def _directory(data: mmap.mmap, where: str) -> tuple[int, int, int]:
    """Count of entries, first byte, and byte after the last, of the central directory."""
    end = len(data) - _END.size
    if end < 0 or data[end : end + 4] != b"PK\5\6":
        raise CheckpointError(
            f"{where}: a zip archive without its end record; the file is cut short, or something "
            "was added to it: fetch it again"
        )
    _, disk, first_disk, here, count, size, begin, comment = _END.unpack_from(data, end)
    locator = end - _LOCATOR_64.size
    if locator >= 0 and data[locator : locator + 4] == b"PK\6\7":
        _, _, end, disks = _LOCATOR_64.unpack_from(data, locator)
        if disks != 1 or end + _END_64.size != locator or data[end : end + 4] != b"PK\6\6":
            raise CheckpointError(f"{where}: its zip64 end record is not where it should be")
        _, rest, _, _, disk, first_disk, here, count, size, begin = _END_64.unpack_from(data, end)
        comment = rest - (_END_64.size - _UNCOUNTED_64)
    if (disk, first_disk, comment) != (0, 0, 0) or here != count or begin + size != end:
        raise CheckpointError(f"{where}: its end record contradicts the file")
    return count, begin, end


def _entries(
    data: mmap.mmap, count: int, begin: int, end: int, where: str, methods: Collection[int]
) -> Iterator[ZipMember]:
    at = begin
    for _ in range(count):
        if at + _CENTRAL.size > end or data[at : at + 4] != b"PK\1\2":
            raise CheckpointError(f"{where}: no directory entry at byte {at}")
        fields = _CENTRAL.unpack_from(data, at)
        after = at + _CENTRAL.size + sum(fields[10:13])  # name, extra, comment
        if after > end:
            raise CheckpointError(f"{where}: the directory entry at byte {at} is cut short")
        yield _member(data, at, fields, where, methods)
        at = after
    if at != end:
        raise CheckpointError(f"{where}: {end - at} bytes after the last directory entry")


def _member(
    data: mmap.mmap, at: int, fields: tuple[int, ...], where: str, methods: Collection[int]
) -> ZipMember:
    _, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, *rest = fields
    comment, disk, _, attributes, header = rest
    name_end = at + _CENTRAL.size + name_size
    raw_name = data[name_end - name_size : name_end]
    place = f"{where}: member {quoted(raw_name.decode(errors='replace'))}"
    if method not in methods:
        raise CheckpointError(
            f"{place} is compressed; re-save it with torch.save or numpy.savez, which do not"
        )
    if flags & ~_flags(method):
        raise CheckpointError(f"{place} is encrypted, or has flags npgpt does not know: {flags:#x}")
    wide = _wide_numbers(_extra_fields(data[name_end : name_end + extra_size], place))
    numbers = [size, packed, header]
    for i, number in enumerate(numbers):
        if number == _IN_ZIP64:
            if not wide:
                raise CheckpointError(f"{place}: its zip64 field is missing or too short")
            numbers[i] = wide.pop(0)
    size, packed, header = numbers
    # Torch takes what is named or marked as a folder for one, and its numbers from anywhere.
    is_folder = attributes & _FOLDER or raw_name.endswith(b"/")
    if (method == STORED and packed != size) or comment or disk or (is_folder and size):
        raise CheckpointError(f"{place}: its directory entry contradicts itself")
    start = _data_start(data, header, raw_name, method, place)
    if start is None:
        raise CheckpointError(
            f"{place}: its local header, at byte {header}, contradicts the directory"
        )
    try:
        return ZipMember(raw_name.decode(), header, start, size, crc, packed, method)
    except UnicodeDecodeError:
        raise CheckpointError(f"{place}: its name is not UTF-8") from None


def _extra_fields(extra: bytes, place: str) -> dict[int, bytes]:
    """The extra fields of a header by their kind.

    Raises CheckpointError, starting with `place`, for one of a kind that may change what other
    readers take, one given twice, and one that is cut short.
    """
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        at += 4
        if kind not in _HARMLESS_FIELDS:
            raise CheckpointError(
                f"{place}: an extra field of kind {kind:#06x}, which readers take differently; "
                "re-save it with torch.save or numpy.savez"
            )
        if kind in fields or at + size > len(extra):
            raise CheckpointError(f"{place}: its extra field of kind {kind:#06x} is damaged")
        fields[kind] = extra[at : at + size]
        at += size
    if any(extra[at:]):  # zeros, too few for a field, are how some tools align
        raise CheckpointError(f"{place}: bytes after its last extra field")
    return fields


def _wide_numbers(fields: Mapping[int, bytes]) -> list[int]:
    """The 64-bit numbers of the zip64 field among an entry's extra fields."""
    field = fields.get(_ZIP64_FIELD, b"")
    return [value for (value,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8])]


def _flags(method: int) -> int:
    return _SIZES_FOLLOW | _UTF8 | (_LEVEL if method == DEFLATED else 0)


def _data_start(data: mmap.mmap, header: int, name: bytes, wanted: int, place: str) -> int | None:
    """Where a member's bytes start, or None if its local header is not a plain member `name`.

    Raises CheckpointError, starting with `place`, for extra fields as `_extra_fields` does.
    """
    if header + _LOCAL.size > len(data):
        return None
    magic, _, flags, method, *_, name_size, extra_size = _LOCAL.unpack_from(data, header)
    name_at = header + _LOCAL.size
    same_name = data[name_at : name_at + name_size] == name
    if magic != b"PK\3\4" or method != wanted or flags & ~_flags(method) or not same_name:
        return None
    start = int(name_at + name_size + extra_size)
    _extra_fields(data[start - extra_size : start], place)
    return start
