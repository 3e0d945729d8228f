import mmap
import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._stored_zip import check_member_sum, zip_members
from npgpt.errors import CheckpointError
from tests.helpers.checkpoint_making import zip_bytes

TWO = {"it/a": b"first", "it/b": b"the second"}
PLAIN = zip_bytes(TWO)
CENTRAL = PLAIN.index(b"PK\1\2")  # the first entry of the directory
SECOND = PLAIN.index(b"PK\1\2", CENTRAL + 1)
LOCAL_DATA = PLAIN.index(b"first")
LOCAL_2 = PLAIN.index(b"PK\3\4", 1)
END = PLAIN.index(b"PK\5\6")


def opened(path, data):
    path.write_bytes(data)
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def contents(data):
    """Every member's bytes, their checksums compared."""
    found = zip_members(data, "there")
    for member in found.values():
        check_member_sum(data, member, "there")
    return {m.name: data[m.start : m.start + m.size] for m in found.values()}


def patched(at, form, *values, data=PLAIN):
    """The archive with other numbers at a place."""
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


def with_entry_comment():
    """The archive with a comment on its second member."""
    data = patched(SECOND + 32, "<H", 3, data=patched(END + 12, "<L", END - CENTRAL + 3))
    return data[:END] + b"abc" + data[END:]


def with_zip64(*, wide=(5, 5, 0), extra=None, end=None, locator=None, narrow=0xFFFFFFFF):
    """The archive with a first entry whose numbers are in a zip64 field, and a zip64 end record."""
    field = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if extra is None else extra
    entry = bytearray(PLAIN[CENTRAL:SECOND])
    struct.pack_into("<2L", entry, 20, narrow, narrow)
    struct.pack_into("<H", entry, 30, len(field))
    struct.pack_into("<L", entry, 42, narrow)
    directory = bytes(entry) + field + PLAIN[SECOND:END]
    at = CENTRAL + len(directory)
    n = {"magic": b"PK\6\6", "rest": 44, "disk": 0, "here": 2, "count": 2, "begin": CENTRAL}
    n |= end or {}
    counts = n["here"], n["count"]
    record = struct.pack(
        "<4sQ2H2L4Q",
        n["magic"], n["rest"], 45, 45, n["disk"], 0, *counts, len(directory), n["begin"],
    )  # fmt: skip
    where = struct.pack("<4sLQL", b"PK\6\7", 0, *(locator or (at, 1)))
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, narrow, narrow, 0)
    return PLAIN[:CENTRAL] + directory + record + where + last


def with_extra(field, *, local=False):
    """The archive with these extra fields on its first member, in the directory or before it."""
    at, size_at = (SECOND, CENTRAL + 30) if not local else (LOCAL_DATA, 28)
    moved = len(field)
    data = bytearray(patched(size_at, "<H", moved))
    if local:
        struct.pack_into("<L", data, SECOND + 42, LOCAL_2 + moved)
        struct.pack_into("<L", data, END + 16, CENTRAL + moved)
    else:
        struct.pack_into("<L", data, END + 12, END - CENTRAL + moved)
    return bytes(data[:at]) + field + bytes(data[at:])


def test_plain(tmp_path):
    assert contents(opened(tmp_path / "zip", PLAIN)) == TWO


def test_zip64(tmp_path):
    assert contents(opened(tmp_path / "zip", with_zip64())) == TWO


@given(st.dictionaries(st.text(min_size=1, max_size=9), st.binary(max_size=99), max_size=5))
def test_whatever_zipfile_writes(new_path, records):
    names = {zipfile.ZipInfo(f"a/{name}").filename: data for name, data in records.items()}
    data = zip_bytes({n: b"" if n.endswith("/") else data for n, data in names.items()})
    path = new_path()
    opened_file = opened(path, data)
    with zipfile.ZipFile(path) as archive:
        expected = {name: archive.read(name) for name in archive.namelist()}
    assert contents(opened_file) == expected


BAD = {
    "one byte": (b"P", "without its end record"),
    "end record only, broken": (PLAIN[END:-1], "without its end record"),
    "cut short": (PLAIN[:-1], "without its end record"),
    "something added": (PLAIN + b"\0", "without its end record"),
    "something in front": (b"\0" + PLAIN, "its end record contradicts the file"),
    "comment": (patched(END + 20, "<H", 3) + b"abc", "without its end record"),
    "comment announced": (patched(END + 20, "<H", 3), "its end record contradicts"),
    "second disk": (patched(END + 4, "<H", 1), "its end record contradicts"),
    "directory on another disk": (patched(END + 6, "<H", 1), "its end record contradicts"),
    "count on this disk differs": (patched(END + 8, "<H", 1), "its end record contradicts"),
    "directory size": (patched(END + 12, "<L", 1), "its end record contradicts"),
    "directory place": (patched(END + 16, "<L", 2**31), "its end record contradicts"),
    "one entry fewer": (patched(END + 8, "<2H", 1, 1), "after the last directory entry"),
    "one entry more": (patched(END + 8, "<2H", 3, 3), "no directory entry"),
    "entry without its mark": (patched(CENTRAL, "<L", 0), f"no directory entry at byte {CENTRAL}"),
    "entry's name too long": (patched(SECOND + 28, "<H", 99), "is cut short"),
    "name twice": (zip_bytes([("a", b"1"), ("a", b"2")]), "two members are named 'a'"),
    "compressed": (zip_bytes(TWO, compression=zipfile.ZIP_DEFLATED), "'it/a' is compressed"),
    "bzip2": (zip_bytes(TWO, compression=zipfile.ZIP_BZIP2), "'it/a' is compressed"),
    "bomb": (zip_bytes({"a": bytes(10**7)}, compression=zipfile.ZIP_DEFLATED), "is compressed"),
    "encrypted": (patched(CENTRAL + 8, "<H", 1), "is encrypted, or has flags"),
    "strongly encrypted": (patched(CENTRAL + 8, "<H", 0x2041), "is encrypted, or has flags"),
    "packed size differs": (patched(CENTRAL + 20, "<L", 4), "directory entry contradicts itself"),
    "on a second disk": (patched(CENTRAL + 34, "<H", 1), "directory entry contradicts itself"),
    "a member marked as a folder": (
        patched(CENTRAL + 38, "<L", 0x10), "directory entry contradicts itself"),
    "a member named as a folder": (zip_bytes({"it/": b"1"}), "directory entry contradicts itself"),
    "comment on a member": (with_entry_comment(), "directory entry contradicts itself"),
    "no local header there": (patched(SECOND + 42, "<L", 1), "local header, at byte 1, contra"),
    "local header past the end": (patched(SECOND + 42, "<L", 2**31), "contradicts the directory"),
    "both at one place": (patched(SECOND + 42, "<L", 0), "local header, at byte 0, contradicts"),
    "another name in the local header": (PLAIN.replace(b"it/b", b"it/c", 1), "local header"),
    "compressed in the local header": (patched(LOCAL_2 + 8, "<H", 8), "local header"),
    "encrypted in the local header": (patched(LOCAL_2 + 6, "<H", 1), "local header"),
    "reaches into the next": (
        patched(CENTRAL + 20, "<2L", 9, 9), "member 'it/b' overlaps another"),
    "reaches into the directory": (
        patched(SECOND + 20, "<2L", 11, 11), "member 'it/b' reaches into the directory"),
    "reaches past the end": (
        patched(SECOND + 20, "<2L", 2**31, 2**31), "'it/b' reaches into the directory"),
    "name not UTF-8": (PLAIN.replace(b"it/b", b"it/\xff"), "its name is not UTF-8"),
    "zip64 end elsewhere": (with_zip64(locator=(0, 1)), "zip64 end record is not where"),
    "zip64 end far away": (with_zip64(locator=(2**63, 1)), "zip64 end record is not where"),
    "zip64 disks": (with_zip64(locator=None, end={"disk": 1}), "its end record contradicts"),
    "zip64 mark": (with_zip64(end={"magic": b"PK\6\0"}), "zip64 end record is not where"),
    "zip64 extension": (with_zip64(end={"rest": 45}), "its end record contradicts"),
    "zip64 count": (with_zip64(end={"count": 2**64 - 1}), "its end record contradicts"),
    "zip64 directory": (with_zip64(end={"begin": 2**64 - 1}), "its end record contradicts"),
    "zip64 size of the member": (with_zip64(wide=(2**63, 2**63, 0)), "reaches into the directory"),
    "zip64 place of the member": (with_zip64(wide=(5, 5, 2**64 - 1)), "contradicts the directory"),
    "zip64 sizes differ": (with_zip64(wide=(5, 6, 0)), "directory entry contradicts itself"),
    "zip64 field missing": (with_zip64(extra=b""), "zip64 field is missing or too short"),
    "zip64 field too short": (with_zip64(wide=(5, 5)), "zip64 field is missing or too short"),
    "zip64 field cut": (with_zip64(extra=b"\1\0\x18\0\5"), "field of kind 0x0001 is damaged"),
    "another field only": (
        with_zip64(extra=b"UT\1\0\5"), "zip64 field is missing or too short"),
    "zip64 field twice": (
        with_zip64(extra=2 * struct.pack("<2H3Q", 1, 24, 5, 5, 0)), "kind 0x0001 is damaged"),
    "bytes after the fields": (
        with_zip64(extra=struct.pack("<2H3QB", 1, 24, 5, 5, 0, 7)), "bytes after its last extra"),
    "a name in a field": (
        with_extra(struct.pack("<2HBL", 0x7075, 9, 1, zlib.crc32(b"it/a")) + b"it/b"),
        "member 'it/a': an extra field of kind 0x7075, which readers take differently"),
    "a name in a field of the local header": (
        with_extra(b"up\0\0", local=True), "'it/a': an extra field of kind 0x7075"),
    "a field that nobody knows": (with_extra(b"\2\0\1\0\5"), "an extra field of kind 0x0002"),
    "a local field cut": (with_extra(b"UT\2\0\5", local=True), "kind 0x5455 is damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_archives(tmp_path, data, said):
    with pytest.raises(CheckpointError) as caught:
        zip_members(opened(tmp_path / "zip", data), "there")
    assert str(caught.value).startswith("there: ")
    assert said in str(caught.value)


HARMLESS = (b"UT\5\0\3abcd", b"ux\1\0\1", b"FB\3\0ZZZ", b"\x35\xd9\0\0", b"\0\0\0", b"UT\0\0FB\0\0")


@pytest.mark.parametrize("field", HARMLESS)
@pytest.mark.parametrize("local", [False, True])
def test_extra_fields_that_change_nothing(tmp_path, field, local):
    path = tmp_path / "zip"
    assert contents(opened(path, with_extra(field, local=local))) == TWO
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == TWO


def test_too_many_members(tmp_path):
    data = with_zip64(end={"here": 70_000, "count": 70_000})
    with pytest.raises(CheckpointError, match="70000 members; npgpt reads at most 10000"):
        zip_members(opened(tmp_path / "zip", data), "there")


def test_a_damaged_member(tmp_path):
    data = opened(tmp_path / "zip", PLAIN.replace(b"first", b"fjrst"))
    with pytest.raises(CheckpointError, match=r"there: member 'it/a' has the checksum \w{8}, not"):
        contents(data)


def test_a_checksum_of_zero_was_not_computed(tmp_path):
    data = patched(CENTRAL + 16, "<L", 0, data=PLAIN.replace(b"first", b"fjrst"))
    assert contents(opened(tmp_path / "zip", data))["it/a"] == b"fjrst"


def test_an_archive_cut_at_any_place(new_path):
    for length in range(1, len(PLAIN)):
        with pytest.raises(CheckpointError, match=r"^there: "):
            zip_members(opened(new_path(), PLAIN[:length]), "there")


@given(st.sampled_from([PLAIN, with_zip64()]), st.data())
def test_an_archive_with_some_bytes_changed(new_path, whole, data):
    changed = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255) | st.sampled_from([0, 1, 0xFF]))
    archive = opened(new_path(), bytes(changed))
    try:
        found = zip_members(archive, "there")
    except CheckpointError:
        return
    assert all(0 <= m.start <= m.start + m.size <= len(archive) for m in found.values())
