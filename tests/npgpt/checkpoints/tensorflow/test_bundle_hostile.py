"""No file makes the reader do anything but read it or refuse it in one error."""

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._tensorflow.bundle import LIMIT, MAX_TENSORS, read_bundle
from npgpt.checkpoints._tensorflow.table import table_entries
from npgpt.errors import CheckpointError
from tests.helpers.make_tensorflow_bundles import SAMPLES
from tests.helpers.reader_refusals import check_refused
from tests.helpers.tensorflow_making import (
    DATA,
    FOUR,
    INDEX,
    MAGIC,
    block,
    bundle,
    checksum,
    closed,
    entry,
    header,
    indexed,
    item,
    number,
    one,
    one_block,
    packed,
    part,
    place,
    shape,
    slow_mask,
    table,
    varint,
    write,
)

MUCH = 64 * 2**20
GOOD = one()
EMPTY = checksum(b"")
SOLE = one_block([(b"", header()), (b"a", entry())])
WHOLE = block([(b"", header()), (b"a", entry())])
FIRST, SECOND = block([(b"", header())]), block([(b"a", entry())])


def valued(value):
    """The entry of tensor `a` is this."""
    return bundle({b"a": value})


def sized(sizes, size=4, **fields):
    return one(sizes=sizes, size=size, **fields)


def two(first, second, data):
    """Two tensors, `a` and `b`, of four bytes each from there on."""
    places = [(key, begin) for key, begin in ((b"a", first), (b"b", second))]
    return bundle({k: entry(offset=o, crc=checksum(data[o : o + 4])) for k, o in places}, data=data)


def keyed(*keys):
    """An index of one block with entries of these keys."""
    return indexed(one_block([(b"", header()), *((key, entry()) for key in keys)]))


def raw(*items, starts=(0,), **lies):
    """An index of one block, of these items as they are."""
    return indexed(table([packed([item(b"", header()), *items], starts=starts, **lies)]))


def at(*places, **lies):
    """An index of two blocks that are said to be there."""
    return indexed(table([FIRST, SECOND], places=places, **lies))


def without(name):
    return {key: content for key, content in GOOD.items() if key != name}


TABLES = {
    "index empty": (indexed(b""), "the file is empty"),
    "index missing": (without(INDEX), "no such file"),
    "index too long": (indexed(bytes(LIMIT + 1)), "a file of this name holds at most"),
    "a magic alone": (indexed(MAGIC), "does not end as TensorFlow's index files do"),
    "47 bytes": (indexed(SOLE[-47:]), "does not end as"),
    "a footer alone": (indexed(SOLE[-48:]), "go past byte 0, where it has to end"),
    "bad magic": (indexed(table([WHOLE], magic=b"leveldb!")), "does not end as"),
    "magic reversed": (indexed(table([WHOLE], magic=MAGIC[::-1])), "does not end as"),
    "something after": (indexed(SOLE + b"\0"), "does not end as"),
    "footer of varints without end": (indexed(SOLE[:-48] + b"\xff" * 40 + MAGIC), "footer: the"),
    "footer of long varints": (indexed(SOLE[:-48] + b"\x80" * 40 + MAGIC), "is over 64 bits long"),
    "index past the file": (at(index_place=place(10**6, 10)), "go past byte"),
    "index of 2^63 bytes": (at(index_place=place(0, 2**63)), "go past byte"),
    "index before the file": (at(index_place=place(-10, 10)), "go past byte"),
    "index is a block": (at(index_place=place(0, len(FIRST))), "its place is misspelt"),
    "index somewhere else": (at(index_place=place(1, 20)), "index: its checksum is wrong"),
    "checksum of a block": (
        indexed(SOLE.replace(closed(WHOLE), WHOLE + bytes(5))),
        "block at byte 0: its checksum is wrong",
    ),
    "checksum not masked": (
        indexed(SOLE.replace(checksum(WHOLE + b"\0"), slow_mask(0))),
        "block at byte 0: its checksum is wrong",
    ),
    "checksum of the index": (
        indexed(SOLE[:-49] + bytes([SOLE[-49] ^ 1]) + SOLE[-48:]),
        "index: its checksum",
    ),
    "snappy": (indexed(table([WHOLE], form=1)), "block at byte 0: compressed (snappy)"),
    "zstd": (indexed(table([WHOLE], form=2)), "compressed (zstd)"),
    "another compression": (indexed(table([WHOLE], form=77)), "compressed (form 77)"),
    "block past the file": (at(place(10**6, 10)), "block at byte 1000000: bytes 1000000 to"),
    "block past the index": (at(place(0, 10**4)), "go past byte"),
    "block of 2^63 bytes": (at(place(0, 2**63)), "go past byte"),
    "block before the file": (at(place(-1, 1)), "go past byte"),
    "the same block twice": (at(place(0, len(FIRST)), place(0, len(FIRST))), "overlaps the block"),
    "blocks in the wrong order": (
        at(place(len(FIRST) + 5, len(SECOND)), place(0, len(FIRST))),
        "key 'a' is out of order",
    ),
    "block said to be shorter": (at(place(0, len(FIRST) - 1)), "its checksum is wrong"),
    "place of a block cut": (at(place(0, len(FIRST))[:1]), "index: the number at byte 1 is cut"),
    "place of no bytes": (at(b""), "index: the number at byte 0 is cut short"),
    "place with more after it": (at(place(0, len(FIRST)) + b"\0"), "its place is misspelt"),
    "index names itself": (
        at(place(len(closed(FIRST) + closed(SECOND)) + 13, 30)),
        "go past byte",
    ),
    "no blocks": (indexed(table([])), "index: 8 bytes, of 1 starts and no entry"),
    "block without entries": (indexed(table([packed([])])), "block at byte 0: 8 bytes, of 1"),
    "block of no bytes": (indexed(table([b""])), "block at byte 0: 0 bytes, of 0 starts"),
    "block of three bytes": (indexed(table([b"\1\0\0"])), "block at byte 0: 3 bytes"),
    "no starts": (raw(starts=()), "of 0 starts"),
    "starts past the block": (raw(count=1000), "of 1000 starts and no entry"),
    "2^32-1 starts": (raw(count=2**32 - 1), "of 4294967295 starts"),
    "more starts than said": (raw(starts=(0, 0), count=1), "key '' is out of order"),
    "first start is not 0": (raw(starts=(1,)), "its list of starts contradicts its entries"),
    "start within an entry": (raw(starts=(0, 3)), "its list of starts contradicts"),
    "starts out of order": (
        raw(item(b"a", entry()), starts=(len(item(b"", header())), 0)),
        "its list of starts contradicts",
    ),
    "the same start twice": (raw(starts=(0, 0)), "its list of starts contradicts"),
    "start past the entries": (raw(starts=(0, 10**6)), "its list of starts contradicts"),
    "a start that shares": (
        raw(
            item(b"a", entry()),
            item(b"ab", entry(), shared=1),
            starts=(0, len(item(b"", header()) + item(b"a", entry()))),
        ),
        "shares 1 bytes with a key that has fewer",
    ),
    "prefix longer than the key before": (
        raw(varint(1) + varint(0) + varint(0)),
        "shares 1 bytes with a key that has fewer",
    ),
    "prefix of 2^64-1": (raw(varint(-1) + varint(0) + varint(0)), "shares 18446744073709551615"),
    "key past the block": (raw(varint(0) + varint(99) + varint(0)), "takes 99 bytes, but 0 are"),
    "value past the block": (
        raw(varint(0) + varint(1) + varint(9) + b"a"),
        "takes 10 bytes, but 1",
    ),
    "value of 2^64-1 bytes": (
        raw(varint(0) + varint(0) + varint(-1)),
        "takes 18446744073709551615",
    ),
    "varint of eleven bytes": (raw(b"\x80" * 10 + b"\1"), "is over 64 bits long"),
    "varint without end": (raw(b"\xff"), "is cut short"),
    "a long key": (keyed(b"a" * 513), "a key of 513 bytes; npgpt reads at most 512"),
    "key twice": (keyed(b"a", b"a"), "key 'a' is out of order, or there twice"),
    "keys not sorted": (keyed(b"b", b"a"), "key 'a' is out of order, or there twice"),
    "header twice": (keyed(b""), "key '' is out of order, or there twice"),
    "key over its block's": (
        indexed(table([WHOLE], uppers=[b"\x41"])),
        "key 'a' is out of order",
    ),
    "key under the block before": (
        indexed(table([FIRST, SECOND], uppers=[b"b", b"c"])),
        "key 'a' is out of order",
    ),
}

ENTRIES = {
    "no header": (indexed(one_block([(b"a", entry())])), "no header"),
    "header alone": (bundle({}), "holds no tensors"),
    "header of no shards": (one(header(shards=0)), "header: 0 files of data; expected 1"),
    "header of nothing": (one(b""), "header: 0 files of data"),
    "negative shards": (one(header(shards=-1)), "header: 18446744073709551615 files of data"),
    "shards by the million": (one(header(shards=10**6)), "header: 1000000 files of data"),
    "99,999 shards": (one(header(shards=99_999)), "missing 'model.ckpt.data-00000-of-99999'"),
    "two shards, of which one": (one(header(shards=2)), "missing 'model.ckpt.data-00000-of-00002'"),
    "big-endian": (one(header(endianness=1)), "header: its numbers are big-endian"),
    "an order that is none": (one(header(endianness=2)), "header: its numbers are big-endian"),
    "later version": (one(header(version=number(1, 9) + number(2, 2))), "a version of the format"),
    "negative version": (one(header(version=number(2, -1))), "a version of the format"),
    "bad consumers": (one(header(version=part(3, b"\1"))), "a version of the format"),
    "version is a text": (one(header(version=b"one")), "header: version: field 13, which"),
    "header with more": (one(header() + number(4, 1)), "header: field 4, which npgpt does not"),
    "header cut": (one(header()[:-1]), "header: field version takes 2 bytes, but only 1"),
    "header is no message": (one(b"\xff" * 12), "header: the number at byte 0 is over 64 bits"),
    "no data": (without(DATA), "missing 'model.ckpt.data-00000-of-00001'"),
    "entry of nothing": (valued(b""), "tensor 'a': has dtype 0; npgpt reads float16"),
    "entry cut": (valued(entry()[:-1]), "tensor 'a': field crc32c takes 4 bytes, but only 3"),
    "entry with more": (one(more=number(8, 0)), "tensor 'a': field 8, which npgpt does not know"),
    "entry said twice": (valued(entry() * 2), "tensor 'a': field dtype is given twice"),
    "entry too long": (one(more=part(7, bytes(5000))), "npgpt reads at most 4096"),
    "varint overflow": (one(more=b"\xff" * 11), "tensor 'a': the number at byte"),
    "slices": (one(more=part(7, b"")), "tensor 'a': saved in slices"),
    "a slice": (keyed(b"\0\1a\0\1\2"), "holds slices of partitioned variables"),
    "texts": (one(dtype=7), "tensor 'a': holds texts; npgpt reads float16"),
    "complex numbers": (one(dtype=8), "tensor 'a': has dtype 8"),
    "a reference": (one(dtype=101), "tensor 'a': has dtype 101"),
    "quantised": (one(dtype=11), "tensor 'a': has dtype 11"),
    "unknown dtype": (one(dtype=99), "tensor 'a': has dtype 99"),
    "negative dtype": (one(dtype=-1), "tensor 'a': has dtype 18446744073709551615"),
    "dtype of 2^32+1": (one(dtype=2**32 + 1), "tensor 'a': has dtype 4294967297"),
    "unknown rank": (
        valued(number(1, 1) + part(2, number(3, 1)) + number(5, 4)),
        "tensor 'a': of unknown rank",
    ),
    "unknown size": (sized([-1]), "tensor 'a': -1 in the shape"),
    "negative size": (sized([-4]), "tensor 'a': -4 in the shape"),
    "two negative sizes": (sized([-1, -1]), "tensor 'a': -1 in the shape"),
    "least size": (sized([-(2**63)]), "tensor 'a': -9223372036854775808 in the shape"),
    "sizes overflow 64 bits": (sized([2**32, 2**32]), "over 2^62 bytes"),
    "sizes overflow to four bytes": (sized([2**62 + 1, 4]), "over 2^62 bytes"),
    "sizes overflow but for a 0": (sized([2**40, 2**40, 0], 0), "over 2^62 bytes"),
    "rank 33": (sized([1] * 33), "33 dimensions; at most 32"),
    "rank 500": (sized([1] * 500), "500 dimensions; at most 32"),
    "shape too small": (sized([0]), "float32 of shape (0,) takes 0 bytes, but its entry says 4"),
    "shape too large": (sized([2]), "takes 8 bytes, but its entry says 4"),
    "dtype too large": (one(dtype=2), "float64 of shape (1,) takes 8 bytes, but its entry says 4"),
    "dtype too small": (one(dtype=19), "takes 2 bytes, but its entry says 4"),
    "negative count of bytes": (sized([1], -4), "its entry says 18446744073709551612"),
    "size of a dimension twice": (
        valued(number(1, 1) + part(2, part(2, number(1, 1) * 2)) + number(5, 4)),
        "tensor 'a': shape: field size is given twice",
    ),
    "shape twice": (one(more=part(2, shape([1]))), "tensor 'a': field shape is given twice"),
    "shape is a number": (valued(number(1, 1) + number(2, 1)), "field shape is written as kind 0"),
    "shard past the count": (one(shard=1), "tensor 'a': in file 1 of data, counted from 0, of 1"),
    "negative shard": (one(shard=-1), "tensor 'a': in file 18446744073709551615 of data"),
    "name not UTF-8": (keyed(b"\x7e\xff"), r"the name '~\\xff' is not UTF-8"),
    "a long name": (bundle({b"\n" * 512: entry(dtype=99)}), r"tensor '\n\n"),
}

PLACES = {
    "data empty": (GOOD | {DATA: b""}, "the file is empty"),
    "data cut short": (GOOD | {DATA: FOUR[:-1]}, "tensor 'a' takes bytes 0 to 4 of 3"),
    "offset past the end": (one(offset=1), "tensor 'a' takes bytes 1 to 5 of 4"),
    "offset far past the end": (one(offset=2**62), "takes bytes 4611686018427387904 to"),
    "negative offset": (one(offset=-4), "takes bytes 18446744073709551612 to"),
    "more bytes than there are": (sized([2**58], 2**60), "takes bytes 0 to 1152921504606846976"),
    "two overlap": (two(0, 2, bytes(8)), "tensor 'b' overlaps the one before it"),
    "two are the same": (two(4, 4, bytes(8)), "tensor 'b' overlaps the one before it"),
    "the first overlaps": (two(2, 0, bytes(8)), "tensor 'a' overlaps the one before it"),
    "data changed": (GOOD | {DATA: bytes(4)}, "tensor 'a' has the checksum"),
    "checksum 0": (one(crc=bytes(4)), "tensor 'a' has the checksum"),
    "checksum of nothing": (one(crc=EMPTY), "tensor 'a' has the checksum"),
    "checksum left out": (
        valued(number(1, 1) + part(2, shape([1])) + number(5, 4)),
        "tensor 'a' has the checksum",
    ),
    "checksum of an empty tensor": (sized([0], 0), "tensor 'a' has the checksum a282ead8"),
}
CASES = {
    **{f"table: {label}": (*case, INDEX) for label, case in TABLES.items()},
    **{f"entry: {label}": (*case, INDEX) for label, case in ENTRIES.items()},
    **{f"place: {label}": (*case, DATA) for label, case in PLACES.items()},
}


@pytest.mark.parametrize(("files", "said", "culprit"), CASES.values(), ids=CASES)
def test_bad_files(tmp_path, files, said, culprit):
    check_refused(read_bundle, write(tmp_path, files), said, culprit=tmp_path / culprit)


def test_the_good_ones_are_good(tmp_path):
    for i, files in enumerate(
        [
            GOOD,
            two(0, 4, bytes(8)),
            two(5, 0, bytes(10)),
            indexed(table([FIRST, SECOND])),
            sized([2**30, 0], 0, crc=EMPTY),
            sized([1] * 32),
            sized([]),
        ]
    ):
        tensors = read_bundle(write(tmp_path / str(i), files)).tensors
        assert tensors["a"].data.nbytes in (0, 4)


def test_checksums_of_data_only_when_asked(tmp_path):
    index = write(tmp_path, one(crc=bytes(4)))
    assert read_bundle(index, check_sums=False).tensors["a"].data.tobytes() == FOUR


def test_another_name(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(SOLE)
    with pytest.raises(CheckpointError, match=r"weights.bin: the index of a TensorFlow"):
        read_bundle(path)


def test_data_that_is_a_link_out_of_the_folder(tmp_path):
    home = tmp_path / "home"
    index = write(home, without(DATA))
    (tmp_path / DATA).write_bytes(FOUR)
    (home / DATA).symlink_to(tmp_path / DATA)
    with pytest.raises(CheckpointError) as caught:
        read_bundle(index)
    assert str(caught.value).startswith(f"{home / DATA}: this symbolic link leaves its folder")


def test_files_cut_at_any_place(new_path, request):
    samples = request.path.parent / SAMPLES.name / "kinds"
    index, data = ((samples / name).read_bytes() for name in (INDEX, DATA))
    for length in range(len(index)):
        with pytest.raises(CheckpointError):
            list(table_entries(index[:length], "here"))
    for length in range(len(data)):
        path = write(new_path(), {INDEX: index, DATA: data[:length]})
        with pytest.raises(CheckpointError):
            read_bundle(path)


@given(st.data())
def test_entries_of_any_bytes(new_path, data):
    """The table is right; what it holds is not, or only just."""
    values = []
    for good in (header(), entry()):
        value = bytearray(good)
        for at_byte in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=2)):
            value[at_byte] = data.draw(st.integers(0, 255))
        values.append(bytes(value))
    index = write(new_path(), bundle({b"a": values[1]}, head=values[0]))
    try:
        found = read_bundle(index).tensors["a"]
    except CheckpointError:
        return
    assert found.data.nbytes in (0, 4)


def many(count, sizes=(0,)):
    """An index of `count` tensors without numbers, whose names share all but their ends."""
    written, last = [item(b"", header())], b""
    empty = entry(sizes=sizes, size=0, crc=EMPTY)
    for i in range(count):
        key = b"%0512d" % i
        shared = next((n for n, (a, b) in enumerate(zip(last, key, strict=False)) if a != b), 0)
        written.append(item(key, empty, shared=shared))
        last = key
    return indexed(table([packed(written)]))


LARGE = {
    "as many tensors as may be": (lambda: many(MAX_TENSORS, [0] * 9), None),
    "one more": (lambda: many(MAX_TENSORS + 1), f"over {MAX_TENSORS} tensors"),
    "dimensions": (
        lambda: one(more=part(2, shape([1]) * (LIMIT // 4 - 99))),
        "npgpt reads at most 4096",
    ),
    "headers": (lambda: one(number(1, 1) * (LIMIT // 2 - 99)), "field num_shards is given twice"),
    "starts": (lambda: raw(starts=[0] * (LIMIT // 16)), "contradicts its entries"),
    "zeros": (lambda: raw(bytes(LIMIT - 999)), "key '' is out of order"),
    "blocks": (lambda: at(*[place(0, len(FIRST))] * 10**5, uppers=[b"a"] * 10**5), "overlaps"),
}


# Of the processor: the promise is one second, and a busy machine slows the processor too.
SECONDS = 5


@pytest.mark.parametrize(("files", "said"), LARGE.values(), ids=LARGE)
def test_memory_and_time(tmp_path, files, said):
    index = write(tmp_path, files())
    assert index.stat().st_size <= LIMIT
    kept = []

    def attempt():
        begin = time.process_time()
        try:
            kept.append(read_bundle(index))
        except CheckpointError as error:
            assert said in str(error)  # noqa: PT017
        return time.process_time() - begin

    assert attempt() < SECONDS
    tracemalloc.start()
    attempt()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < index.stat().st_size + MUCH
    assert bool(kept) == (said is None)
