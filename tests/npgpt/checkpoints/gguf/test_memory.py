"""No GGUF file takes much more memory than its own size, nor much time to refuse."""

import itertools
import struct
import time
import tracemalloc

import numpy as np
import pytest

from npgpt.checkpoints._gguf.reader import read_gguf
from npgpt.errors import CheckpointError, ConfigError, TokenizerError
from npgpt.tokenizer._byte_alphabet import ALPHABET
from tests.helpers.gguf_making import (
    ARRAY,
    BOOL,
    CONTROL,
    INT32,
    NORMAL,
    SIZES,
    TABLE,
    TEXT,
    UINT8,
    UINT64,
    array,
    gguf_bytes,
    info,
    number,
    of,
    text,
    text_value,
    with_tokens,
)

MUCH = 64 * 2**20
SECONDS = 5  # of the processor, for what takes a fifth of one; the promise is one second


def short_texts(count):
    letters = np.frombuffer("".join(ALPHABET[:90]).encode(), np.uint8)
    elements = np.zeros((count, 8 + 3), np.uint8)
    elements[:, 0] = 3
    elements[:, 8:] = letters[np.arange(count)[:, np.newaxis] // 90 ** np.arange(3) % 90]
    return of({"a": array(TEXT, elements.tobytes(), count=count)}, data=b"")


def many_tokens(count):
    """Three tokens to two merges, of which the first is bad."""
    letters = (a + b + c for a in ALPHABET for b in ALPHABET for c in "abcd")
    tokens = [*ALPHABET, *itertools.islice(letters, count * 3 // 5)]
    merges = ["a b"] * (count * 2 // 5 - len(ALPHABET))
    return with_tokens(tokens=tokens, merges=merges, types=[NORMAL] * len(tokens))


def many_keys(count):
    keys = [(f"{i:x}", number(UINT64, i)) for i in range(count - len(SIZES))]
    return gguf_bytes([*SIZES.items(), *keys], [(TABLE, info((2, 4)))], bytes(31))


def many_tensors(count):
    names = [(TABLE, info((2, 4)))] + [
        (f"{i:x}", info((1, 1, 1, 1), offset=32 * i + 32)) for i in range(count - 1)
    ]
    return of(tensors=names, data=bytes(32 * count - 29))


# Files as long as their limits allow, and these limits.
COUNTED = {
    short_texts: 200_000,
    many_tokens: 200_000,
    many_keys: 10_000,
    many_tensors: 20_000,
}
FILES = {
    "a key in an endless array": of({"a": array(UINT8, bytes(100), count=2**64 - 1)}),
    "endless texts": of({"a": array(TEXT, bytes(8 * 10**6), count=2**61)}),
    "too many texts": of({"a": array(TEXT, bytes(8 * 900_000), count=900_000)}),
    "nested arrays": of({"a": struct.pack("<I", ARRAY) * 2 * 10**6}),
    "wide characters": of({"a": text_value("\U0001f600" + "a" * 7_000_000)}, data=b""),
    "a text over the limit": of({"a": text_value("a" * 9_000_000)}),
    "a long key": of({"k" * 7_900_000: number(BOOL, 1)}),
    "many booleans": of({"a": array(BOOL, bytes(7_000_000) + b"\2")}),
    "large sizes": of(tensors=[(TABLE, info((2**30, 2**30)))]),
    "large Q8_0": of(tensors=[(TABLE, info((2**20, 32), 8))]),
    "a bad tensor behind a Q8_0": of(
        tensors=[(TABLE, info((2**18, 32), 8)), ("b", info((9,), offset=34 * 2**18))],
        data=bytes(34 * 2**18)),
    "a bad tokenizer beside a Q8_0": gguf_bytes(
        [*SIZES.items(), ("tokenizer.ggml.tokens", array(TEXT, ["a"])),
         ("tokenizer.ggml.token_type", array(INT32, [CONTROL]))],
        [("b", info((2**19, 32), 8))], bytes(34 * 2**19)),
    "a name of a megabyte": of(tensors=[], data=text("t" * 10**6) + info((1,)), counts=(1, 7),
        fill=0),
}  # fmt: skip


def refused(path):
    with pytest.raises((CheckpointError, ConfigError, TokenizerError)) as caught:
        read_gguf(path)
    return str(caught.value)


def peak(path, data):
    path.write_bytes(data)
    tracemalloc.start()
    try:
        refused(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def check_time(path, data):
    path.write_bytes(data)
    start = time.process_time()
    said = refused(path)
    assert time.process_time() - start < SECONDS
    assert said.startswith(f"{path}: ")


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_files(tmp_path, data):
    check_time(tmp_path / "a.gguf", data)
    assert peak(tmp_path / "b.gguf", data) < len(data) + MUCH


@pytest.mark.parametrize("make", COUNTED, ids=lambda make: make.__name__)
def test_files_as_long_as_can_be(tmp_path, make):
    check_time(tmp_path / "a.gguf", make(COUNTED[make]))
    # Tracing memory takes ten times longer, so here a tenth may take a tenth.
    data = make(COUNTED[make] // 10)
    assert peak(tmp_path / "b.gguf", data) < len(data) + MUCH // 10
