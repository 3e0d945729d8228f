"""What is fuzzed: each of npgpt's readers on files made of any bytes, and what may come of it.

A reader takes an input apart in one of several ways, which the input's first byte chooses: as a
file as it is, or as a part of a file whose lengths, archives and checksums are then made right, so
that a mutation does not end at those.
"""

import contextlib
import json
import os
import resource
import time
import traceback
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from npgpt.checkpoints._configuration import CONFIG, agreed_config, read_config_fields
from npgpt.checkpoints._dialects import translate
from npgpt.checkpoints._files import parse_json
from npgpt.checkpoints._gguf.reader import read_gguf
from npgpt.checkpoints._listing import listing_of
from npgpt.checkpoints._llmc import read_llmc
from npgpt.checkpoints._loading import settle_tied_head
from npgpt.checkpoints._npz import read_npz
from npgpt.checkpoints._safetensors import read_safetensors
from npgpt.checkpoints._tensorflow.bundle import read_bundle
from npgpt.checkpoints._tensorflow.sidecars import STATE_FILE, index_of, read_hparams
from npgpt.checkpoints._tensors import Weights
from npgpt.checkpoints._torch.inert_pickle import load_pickle
from npgpt.checkpoints._torch.legacy import read_torch_legacy
from npgpt.checkpoints._torch.state import ALLOWED, Builder, Storage, place_tensors
from npgpt.checkpoints._torch.zip import read_torch_zip
from npgpt.checkpoints._weights import read_weights
from npgpt.errors import CheckpointError, NpgptError
from npgpt.tokenizer._byte_alphabet import ALPHABET
from npgpt.tokenizer._files import ADDED_TOKENS, TOKENIZER_CONFIG, TOKENIZER_JSON
from npgpt.tokenizer._files import load as load_tokenizer
from tests.helpers import tensorflow_making as tf
from tests.helpers.checkpoint_making import safetensors_bytes, tensor_entry, torch_bytes, zip_bytes

MOST_SECONDS = 1.0
MOST_MEMORY = 64 * 2**20  # bytes beyond the file's own
LONGEST_MESSAGE = 5_000  # characters
_SUSPICIOUS = 2**23  # bytes
_PEAK = Path("/proc/self/clear_refs")  # where Linux is told to forget how large a process was
_SEPARATOR = b"\n=\n"

Read = Callable[[Path, bytes], object]


class Finding(Exception):  # noqa: N818
    """What no file may do: the first line says what, and tells findings apart."""


def examine(read: Read, data: bytes, folder: Path) -> bool:
    """Whether the reader takes the input. Raises Finding for what it may not do with one.

    It may answer, or raise one NpgptError that names the file and is not endless: within a second
    of computing, and with no more memory than the file's size and 64 MB. Where the process grows
    by more than a little, the reader is run again, its memory counted exactly, which takes long.
    """
    _forget_peak()
    before, start = _peak(), time.process_time()
    try:
        taken = _tried(read, data, folder)
    finally:
        _remove_files(folder)
    seconds = time.process_time() - start
    if seconds > MOST_SECONDS:
        raise Finding(f"takes {seconds:.1f} s")
    if _peak() - before > _SUSPICIOUS:
        _check_memory(read, data, folder)
    return taken


def _tried(read: Read, data: bytes, folder: Path) -> bool:
    try:
        read(folder, data)
    except NpgptError as error:
        message = str(error)
        if str(folder) not in message:
            raise Finding(f"names no file ({_place(error)})\n{message[:999]}") from error
        if len(message) > LONGEST_MESSAGE:
            raise Finding(f"an endless message ({_place(error)})\n{message[:999]}") from error
        return False
    except Exception as error:
        raise Finding(f"{type(error).__name__} ({_place(error)})\n{error}"[:999]) from error
    return True


def _check_memory(read: Read, data: bytes, folder: Path) -> None:
    tracemalloc.start()
    try:
        _tried(read, data, folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        _remove_files(folder)
    if peak > MOST_MEMORY + len(data):
        raise Finding(f"takes {peak} bytes of memory")


def _place(error: BaseException) -> str:
    """The last line of npgpt that the error went through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "npgpt" in f.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "not in npgpt"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forget_peak() -> None:
    with contextlib.suppress(OSError), _PEAK.open("w") as file:
        file.write("5")


def _remove_files(folder: Path) -> None:
    for name in os.listdir(folder):
        os.unlink(folder / name)


def _used(found: Weights, path: Path) -> None:
    """Look at the tensors' ends, and go on as `open` does."""
    for stored in found.tensors.values():
        if stored.data.size:
            stored.data[(0,) * stored.data.ndim], stored.data[(-1,) * stored.data.ndim]
    listing_of(found)
    settled = translate(found.tensors, str(path))
    states_none = found.config is None
    with contextlib.suppress(CheckpointError) if states_none else contextlib.nullcontext():
        agreed_config(None, found, settled, path)
    config = agreed_config({} if states_none else None, found, settled, path)
    settle_tied_head(settled.tensors, config.tie_word_embeddings, str(path))


def _file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data or b" ")  # an empty file is not mapped
    return path


def _read_safetensors(folder: Path, data: bytes) -> None:
    way, body = data[:1], data[1:]
    if way == b"h":
        header, _, numbers = body.partition(_SEPARATOR)
        body = safetensors_bytes(header, numbers)
    path = _file(folder, "model.safetensors", body)
    _used(Weights("safetensors", (path,), read_safetensors(path)), path)


def _read_zip(folder: Path, data: bytes) -> None:
    way, body = data[:1], data[1:]
    if way == b"p":
        pickle, _, numbers = body.partition(_SEPARATOR)
        body = torch_bytes(pickle, {"data/0": numbers})
    path = _file(folder, "pytorch_model.bin", body)
    _used(read_torch_zip(path), path)


def _read_legacy(folder: Path, data: bytes) -> None:
    path = _file(folder, "pytorch_model.bin", data)
    _used(read_torch_legacy(path), path)


def _read_pickle(folder: Path, data: bytes) -> None:
    path = folder / "pytorch_model.bin"
    builder = Builder(path, "data.pkl")

    def numbers(storage: Storage) -> np.ndarray:
        if not 0 <= storage.count <= 1000:
            raise CheckpointError(f"{path}: no record has {storage.count} numbers")
        return np.zeros(storage.count, storage.dtype.bits)

    value = load_pickle(
        data,
        f"{path}: data.pkl",
        allowed=ALLOWED,
        reduce=builder.reduce,
        persistent=builder.persistent,
    )
    tensors, config = builder.select(value)
    placed = place_tensors(tensors, numbers, path, len(data))
    _used(Weights("torch zip", (path,), placed, config), path)


def _read_npz(folder: Path, data: bytes) -> None:
    way, body = data[:1], data[1:]
    if way in (b"a", b"d"):
        body = zip_bytes({"x.npy": body}, compression=0 if way == b"a" else 8)
    path = _file(folder, "model.npz", body)
    _used(read_npz(path), path)


def _read_gguf(folder: Path, data: bytes) -> None:
    path = _file(folder, "model.gguf", data)
    _used(read_gguf(path), path)


def _read_llmc(folder: Path, data: bytes) -> None:
    path = _file(folder, "gpt2.bin", data)
    _used(read_llmc(path), path)


def _read_tensorflow(folder: Path, data: bytes) -> None:
    way, body = data[:1], data[1:]
    if way == b"c":
        _file(folder, STATE_FILE, body)
        index_of(folder)
        return
    if way == b"h":
        _file(folder, "hparams.json", body)
        read_hparams(folder)
        return
    if way == b"b":
        index = tf.table([body])
    elif way == b"i":
        index_block, _, block = body.partition(_SEPARATOR)
        index = tf.table([block], index=index_block)
    elif way == b"e":
        index = tf.one_block([(b"", tf.header()), (b"a", body)])
    elif way == b"s":
        index = tf.one_block([(b"", body), (b"a", tf.entry())])
    else:
        index = body
    _file(folder, tf.DATA, tf.FOUR)
    path = _file(folder, tf.INDEX, index)
    _used(read_bundle(path), path)


def _read_config(folder: Path, data: bytes) -> None:
    _file(folder, CONFIG, data)
    read_config_fields(folder)


def _read_json(folder: Path, data: bytes) -> None:
    parse_json(data, str(folder))


@cache
def _letters() -> str:
    return ",".join(f"{json.dumps(letter)}:{i}" for i, letter in enumerate(ALPHABET))


@cache
def _tokenizer_json(place: bytes) -> bytes:
    """A tokenizer.json with a mark where the input goes."""
    parts = {"v": ',"to":256,"be":257' if place == b"m" else "", "m": "", "a": ""}
    parts[place.decode()] += "@@"
    return (
        '{"added_tokens":[' + parts["a"] + '],"normalizer":null,'
        '"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},'
        '"model":{"type":"BPE","vocab":{' + _letters() + parts["v"] + '},"merges":['
        + parts["m"] + "]}}"
    ).encode()  # fmt: skip


def _read_tokenizer(folder: Path, data: bytes) -> None:
    way, body = data[:1], data[1:]
    letters = _letters().encode()
    if way in (b"v", b"m", b"a"):
        _file(folder, TOKENIZER_JSON, _tokenizer_json(way).replace(b"@@", body))
    elif way == b"w":
        _file(folder, TOKENIZER_JSON, body.replace(b'"@@":0', letters))
    else:
        vocab, merges, added, settings = (*body.split(_SEPARATOR), b"", b"", b"")[:4]
        _file(folder, "vocab.json", b"{" + letters + vocab + b"}")
        _file(folder, "merges.txt", merges)
        if added:
            _file(folder, ADDED_TOKENS, added)
        if settings:
            _file(folder, TOKENIZER_CONFIG, settings)
    tokenizer = load_tokenizer(folder)
    if tokenizer is not None:
        text = "to be or\n<|endoftext|>\0\u00e9"
        if tokenizer.decode(tokenizer.encode(text, allowed_special="all")) != text:
            raise AssertionError("a text is not what it was")


@cache
def _shards() -> dict[str, bytes]:
    return {
        f"{name}.safetensors": safetensors_bytes({name: tensor_entry()}, bytes(4)) for name in "ab"
    }


def _read_shards(folder: Path, data: bytes) -> None:
    for name, content in _shards().items():
        _file(folder, name, content)
    _file(folder, "model.safetensors.index.json", data)
    read_weights(folder)


def _read_any(folder: Path, data: bytes) -> None:
    way, body = data[:1], data[1:]
    name = {b"i": "a.index", b"n": "a.npz", b"g": "a.gguf", b"s": "model.safetensors"}
    path = _file(folder, name.get(way, "a.bin"), body)
    _used(read_weights(path), path)


READERS: dict[str, Read] = {
    "safetensors": _read_safetensors,
    "torch_zip": _read_zip,
    "torch_legacy": _read_legacy,
    "pickle": _read_pickle,
    "npz": _read_npz,
    "gguf": _read_gguf,
    "llmc": _read_llmc,
    "tensorflow": _read_tensorflow,
    "config": _read_config,
    "json": _read_json,
    "tokenizer": _read_tokenizer,
    "shards": _read_shards,
    "any": _read_any,
}
# Which reader takes files of which format.
OF_FORMAT = {
    "safetensors": "safetensors",
    "torch zip": "torch_zip",
    "torch legacy": "torch_legacy",
    "npz": "npz",
    "GGUF": "gguf",
    "llm.c": "llmc",
    "TensorFlow bundle": "tensorflow",
}
