import struct

import pytest

from npgpt.checkpoints._gguf.reader import read_gguf
from npgpt.errors import CheckpointError
from tests.helpers.gguf_making import (
    ARRAY,
    BOOL,
    F16,
    FLOAT32,
    FLOAT64,
    INT32,
    Q8_0,
    SIZES,
    TABLE,
    TEXT,
    UINT8,
    UINT32,
    UINT64,
    array,
    gguf_bytes,
    info,
    number,
    of,
    text,
    text_value,
    uint32,
)
from tests.helpers.reader_refusals import check_refused

ALIGN = "general.alignment"
EPS = "gpt2.attention.layer_norm_epsilon"
EMBD = "gpt2.embedding_length"
HEADS = "gpt2.attention.head_count"
BIG = 2**64 - 1


ONE = uint32(1)


def key(name, value=ONE):
    """A file with one key changed or added."""
    return of({name: value})


def bare(data, keys=1, tensors=1):
    """A file whose metadata are just these bytes."""
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + data


def one(entry, data=bytes(32), name=TABLE, **options):
    return of(tensors=[(name, entry)], data=data, **options)


def two(first, second, data):
    return of(tensors=[(TABLE, info((2, 4), offset=first)), ("b", info((4,), offset=second))],
              data=data)  # fmt: skip


def twice(name, value):
    return gguf_bytes([*SIZES.items(), (name, value)], [(TABLE, info((2, 4)))], bytes(32))


nested = b"".join(struct.pack("<IQ", ARRAY, 1) for _ in range(100_000))

BAD = {
    # the start
    "one byte": (b"G", "magic: takes 4 bytes at byte 0, but the file ends at 1"),
    "only the magic": (b"GGUF", "version: takes 4 bytes"),
    "another magic": (of(magic=b"GGML"), r"starts with b'GGML', not b'GGUF'"),
    "version 0": (of(version=0), "version: 0; npgpt reads 2 and 3"),
    "version 1": (of(version=1), "version: 1; npgpt reads 2 and 3"),
    "version 4": (of(version=4), "version: 4; npgpt reads 2 and 3"),
    "version of 2^32": (of(version=2**32 - 1), "version: 4294967295"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 1, 7), "version: big-endian"),
    "no counts": (b"GGUF" + struct.pack("<I", 3), "tensor count: takes 8 bytes"),
    "no key count": (b"GGUF" + struct.pack("<IQ", 3, 1), "key count: takes 8 bytes"),
    "no tensors": (of(tensors=[], data=b""), "0 tensors; npgpt reads 1 to"),
    "20,001 tensors": (of(counts=(20_001, 7)), "20001 tensors"),
    "2^64 tensors": (of(counts=(BIG, 7)), "18446744073709551615 tensors"),
    "10,001 keys": (of(counts=(1, 10_001)), "announces 10001 keys"),
    "2^64 keys": (of(counts=(1, BIG)), "announces 18446744073709551615 keys"),
    "a key too many": (of(counts=(1, 8)), "cut short or damaged"),
    "a key too few": (of(counts=(1, 6)), "tensor 'gpt2.attention.layer_norm_epsilon': 6 dimen"),
    "a tensor too many": (of(counts=(2, 7)), "tensor ''"),
    "a tensor too few": (of(counts=(0, 7)), "0 tensors"),
    # keys and texts
    "key past the end": (bare(text("a", length=2)), "key 1 of 1: takes 2 bytes at byte 32, but"),
    "key of 2^63": (bare(text("a", length=2**63)), "takes 9223372036854775808 bytes"),
    "key of 2^64": (bare(text("a", length=BIG)), "takes 18446744073709551615 bytes"),
    "key cut in its length": (bare(bytes(7)), "takes 8 bytes"),
    "empty key": (key(""), "metadata '': a key of 0 characters"),
    "long key": (key("k" * 65_536), "a key of 65536 characters"),
    "key not UTF-8": (key(b"\xff"), "not UTF-8: invalid start byte at byte"),
    "key of half a surrogate pair": (key(b"\xed\xa0\x80"), "not UTF-8"),
    "key twice": (twice(EMBD, uint32(4)), "'gpt2.embedding_length': the key is given twice"),
    "key twice, differently": (twice(EMBD, text_value("4")), "the key is given twice"),
    "text past the end": (key("a", text_value("b", length=10**6)), "'a': takes 1000000 bytes"),
    "text of 2^64": (key("a", text_value("b", length=BIG)), "takes 18446744073709551615 bytes"),
    "text not UTF-8": (key("a", text_value(b"ab\xff")), "not UTF-8: invalid start byte at byte"),
    "text cut in a character": (key("a", text_value("é".encode()[:1])), "not UTF-8: unexpected"),
    "type 13": (key("a", struct.pack("<I", 13)), "its type is 13; the format has 0 to 12"),
    "type of 2^32": (key("a", struct.pack("<I", 2**32 - 1)), "its type is 4294967295"),
    "no type": (bare(text("a")), "metadata 'a': takes 4 bytes"),
    "no value": (bare(text("a") + struct.pack("<I", FLOAT64)), "takes 8 bytes"),
    "boolean of 2": (key("a", number(BOOL, 2)), "a boolean of 2; expected 0 or 1"),
    "boolean of 255": (key("a", number(BOOL, 255)), "a boolean of 255"),
    # arrays
    "array of type 13": (key("a", array(13, b"")), "its elements' type is 13"),
    "array of arrays": (key("a", array(ARRAY, array(UINT8, [1])[4:], count=1)), "array of arrays"),
    "arrays nested 100,000 deep": (key("a", struct.pack("<I", ARRAY) + nested), "array of arrays"),
    "array past the end": (key("a", array(UINT32, [1], count=10**6)), "takes 4000000 bytes"),
    "array of 2^62": (key("a", array(UINT32, [], count=2**62)), "takes 18446744073709551616"),
    "array of 2^64 bytes": (key("a", array(UINT8, [], count=BIG)), "takes 18446744073709551615"),
    "array of 2^64 numbers": (key("a", array(FLOAT64, [], count=BIG)), "takes 1475739525896764"),
    "array of 2^64 texts": (key("a", array(TEXT, [], count=BIG)), "takes 14757395258967641"),
    "texts past the end": (key("a", array(TEXT, ["b"], count=100)), "'a': takes 800 bytes"),
    "texts one past the end": (bare(text("a") + array(TEXT, ["b"] * 9, count=10)), "takes 8 bytes"),
    "text in an array past the end": (
        key("a", array(TEXT, text("b", length=10**6), count=1)), "takes 1000000 bytes"),
    "text in an array not UTF-8": (key("a", array(TEXT, [b"\xff"])), "'a': not UTF-8"),
    "400,000 texts": (key("a", array(TEXT, bytes(8 * 400_000), count=400_000)), "at most 200000"),
    "texts in two arrays": (
        of({n: array(TEXT, bytes(8 * 110_000), count=110_000) for n in "ab"}), "'b': 220000 texts"),
    "array of booleans of 2": (key("a", array(BOOL, [0, 1, 2])), "neither 0 nor 1"),
    "array cut in its count": (bare(text("a") + array(UINT8, [])[:-1]), "takes 8 bytes"),
    # what it says about the model
    "no architecture": (key("general.architecture", None), "general.architecture is None; npgpt"),
    "another architecture": (key("general.architecture", text_value("llama")), "is 'llama'"),
    "architecture is a number": (key("general.architecture"), "general.architecture is 1"),
    "architecture of a megabyte": (key("general.architecture", text_value("g" * 10**6)), "'ggg"),
    "one part of two": (key("split.count", number(2, 2)), "one of 2 parts of a model"),
    "split is a text": (key("split.count", text_value("1")), "one of '1' parts"),
    "no sizes": (key(EMBD, None), "gpt2.embedding_length is None; expected a whole number"),
    "size is true": (key(EMBD, number(BOOL, 1)), "gpt2.embedding_length is True; expected a whole"),
    "size is a fraction": (key(EMBD, number(FLOAT32, 4)), "gpt2.embedding_length is 4.0"),
    "size is a text": (key(EMBD, text_value("4")), "gpt2.embedding_length is '4'"),
    "size is an array": (key(EMBD, array(UINT32, [4])), "is a ndarray; expected a whole number"),
    "size is negative": (key(EMBD, number(INT32, -4)), "gpt2.embedding_length is -4"),
    "size is 0": (key(EMBD, uint32(0)), "n_embd is 0; give a whole number, 1 or more"),
    "context is 0": (key("gpt2.context_length", uint32(0)), "n_positions is 0"),
    "heads are 0": (key(HEADS, uint32(0)), "n_head is 0"),
    "heads do not divide": (key(HEADS, uint32(3)), "n_embd is 4, which n_head = 3 does not divide"),
    "fewer heads of keys": (key("gpt2.attention.head_count_kv"), "GPT-2 has n_head, 2"),
    "another vocabulary": (key("gpt2.vocab_size", uint32(3)), "GPT-2 has vocab_size, 2"),
    "no layers": (key("gpt2.block_count", None), "gpt2.block_count is None"),
    "no epsilon": (key(EPS, None), "layer_norm_epsilon is None; expected a fraction"),
    "epsilon is NaN": (key(EPS, number(FLOAT32, float("nan"))), "layer_norm_epsilon is nan"),
    "epsilon is infinite": (key(EPS, number(FLOAT64, float("inf"))), "layer_norm_epsilon is inf"),
    "epsilon is negative": (key(EPS, number(FLOAT32, -1)), "layer_norm_epsilon is -1.0"),
    "epsilon is an integer": (key(EPS, uint32(0)), "layer_norm_epsilon is 0; expected a fraction"),
    "end of text of no token": (key("tokenizer.ggml.eos_token_id", uint32(2)), "only 2 tokens"),
    "start of text is true": (key("tokenizer.ggml.bos_token_id", number(BOOL, 1)), "id is True"),
    "no vocabulary": (one(info((2, 4)), name="a"), "neither token_embd.weight nor tokenizer.ggml"),
    "vocabulary of rank 0": (one(info(()), bytes(4)), "neither token_embd.weight nor"),
    # tensors
    "name past the end": (of(tensors=[], data=text("a", length=99), counts=(1, 7), fill=0),
        "name of tensor 1 of 1: takes 99 bytes"),
    "empty name": (one(info((2, 4)), name=""), "tensor '': a name of 0 bytes"),
    "long name": (one(info((2, 4)), name="t" * 65), "a name of 65 bytes; names have 1 to 64"),
    "name not UTF-8": (one(info((2, 4)), name=b"\xc3"), "name of tensor 1 of 1: not UTF-8"),
    "tensor twice": (of(tensors=[(TABLE, info((2, 4)))] * 2), "is there twice"),
    "rank 5": (one(info((2, 1, 1, 1, 4))), "5 dimensions; GGUF has at most 4"),
    "rank of 2^32": (one(info((2, 4), rank=2**32 - 1)), "4294967295 dimensions"),
    "size of 0": (one(info((2, 0))), "is empty, of shape (2, 0)"),
    "sizes overflow 64 bits": (one(info((2**32, 2**32))), "over 2^62 bytes"),
    "sizes overflow to 32 bytes": (one(info((2**61 + 1, 8))), "over 2^62 bytes"),
    "size of 2^64": (one(info((BIG, 1))), "over 2^62 bytes"),
    "size of 2^60": (one(info((2**58,))), "takes 1152921504606846976 bytes from 0 on, but the"),
    "type 4, no more in use": (one(info((2, 4), 4)), "its type is 4; npgpt reads F32"),
    "type Q4_0": (one(info((2, 4), 2)), "its type is Q4_0; npgpt reads F32, F16, BF16"),
    "type Q6_K": (one(info((2, 256), 14)), "its type is Q6_K"),
    "type I32": (one(info((2, 4), 26)), "its type is I32"),
    "tensor type of 2^32": (one(info((2, 4), 2**32 - 1)), "its type is 4294967295"),
    "rows of half a block": (one(info((2, 48), Q8_0), bytes(102)), "whole blocks of 32"),
    "blocks across rows": (one(info((32, 4), Q8_0), bytes(136)), "Q8_0 of shape (32, 4)"),
    "a Q8_0 without rows": (one(info((), Q8_0), bytes(34)), "Q8_0 of shape ()"),
    "a Q8_0 past the end": (one(info((1, 64), Q8_0), bytes(67)), "takes 68 bytes from 0 on"),
    "infos cut short": (one(info((2, 4))[:-1], b"", fill=0), "takes 8 bytes"),
    # data
    "alignment of 0": (key(ALIGN, uint32(0)), "'general.alignment': 0; expected a power of two"),
    "alignment of 3": (key(ALIGN, uint32(3)), "3; expected a power of two"),
    "alignment of -32": (key(ALIGN, number(INT32, -32)), "-32; expected a power of two"),
    "alignment is true": (key(ALIGN, number(BOOL, 1)), "True; expected a power of two"),
    "alignment is a fraction": (key(ALIGN, number(FLOAT32, 32)), "32.0; expected a power of two"),
    "alignment is a text": (key(ALIGN, text_value("32")), "'32'; expected a power of two"),
    "alignment is an array": (key(ALIGN, array(UINT32, [32])), "expected a power of two"),
    "alignment of 2^31": (key(ALIGN, uint32(2**31)), "the file holds 0 bytes of data"),
    "alignment of 2^63": (key(ALIGN, number(UINT64, 2**63)), "the file holds 0 bytes of data"),
    "offset not aligned": (two(0, 33, bytes(64)), "'b': is misplaced: its offset is 33, expected"),
    "offset past the end": (one(info((2, 4), offset=32)), "its offset is 32, expected 0"),
    "offset of 2^64": (two(0, BIG - 31, bytes(64)), "its offset is 18446744073709551584"),
    "two overlap": (two(0, 16, bytes(48)), "'b': overlaps the tensor before it"),
    "two are the same": (two(0, 0, bytes(32)), "overlaps the tensor before it"),
    "a hole between": (two(0, 64, bytes(80)), "'b': is misplaced: its offset is 64, expected 32"),
    "a hole in front": (two(32, 64, bytes(80)), "is misplaced: its offset is 32, expected 0"),
    "no data": (one(info((2, 4)), b""), "the file holds 0 bytes of data; it is cut short"),
    "no fill and no data": (one(info((2, 4)), b"", fill=0), "the file holds 0 bytes of data"),
    "data cut short": (one(info((2, 4)), bytes(31)), "takes 32 bytes from 0 on, but the file"),
    "data of the second cut short": (two(0, 32, bytes(47)), "'b': takes 16 bytes from 32 on"),
    "one byte more": (one(info((2, 4)), bytes(33)), "33 bytes, of which the tensors take 32"),
    "a block more": (one(info((2, 4), F16), bytes(64)), "tensors take 16; something was added"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "said"), BAD.values(), ids=BAD)
def test_bad_files(tmp_path, data, said):
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    check_refused(read_gguf, path, said)


def test_the_file_that_the_bad_ones_are_made_of_is_good(tmp_path):
    path = tmp_path / "good.gguf"
    path.write_bytes(of())
    assert list(read_gguf(path).tensors) == [TABLE]


def test_a_file_cut_at_any_place(new_path):
    whole = two(0, 32, bytes(48))
    for length in range(1, len(whole)):
        path = new_path()
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=f"^{path}: "):
            read_gguf(path)
