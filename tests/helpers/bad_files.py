"""Every bad file that a table of the tests makes: `python -m tests.helpers.bad_files` counts them.

Two files are distinct where their bytes or their kinds are.
"""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from npgpt.checkpoints._configuration import read_config_fields
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._tensorflow.sidecars import read_hparams
from npgpt.checkpoints._weights import read_weights
from npgpt.tokenizer._files import load as load_tokenizer
from tests.helpers.checkpoint_making import (
    TINY,
    pickled,
    random_arrays,
    safetensors_bytes,
    tensor_entry,
    torch_bytes,
)

_TESTS = Path(__file__).parent.parent / "npgpt"
Files = dict[str, bytes]


def _named(name: str) -> Callable[[Any], Files]:
    return lambda row: {name: row[0]}


def _as_json(name: str, field: str | None = None) -> Callable[[Any], Files]:
    def made(row: Any) -> Files:
        return {name: json.dumps(row[0] if field is None else {field: row[0]}).encode()}

    return made


def _in_archive(row: Any) -> Files:
    return {"pytorch_model.bin": torch_bytes(row[0])}


def _beside_a_pair(row: Any) -> Files:
    letters = json.dumps({**tokenizer().vocab, **tokenizer().special_tokens}).encode()
    return {"vocab.json": letters, "merges.txt": b"#version: 0.2\na b\n", row[0]: row[1]}


def _tokenizer_json(row: Any) -> Files:
    whole = _module("test_hostile_files.py").document()
    return {"tokenizer.json": json.dumps({**whole, **row[0]}).encode()}


def _beside_weights(row: Any) -> Files:
    text = _module("test_hostile_config.py").spelled(*row)
    return {"config.json": text.encode(), "model.safetensors": _weights()}


@cache
def _weights() -> bytes:
    header, data = {}, b""
    for name, array in random_arrays(TINY).items():
        ends = [len(data), len(data) + array.nbytes]
        header[name] = tensor_entry(shape=array.shape, data_offsets=ends)
        data += array.tobytes()
    return safetensors_bytes(header, data)


def tokenizer() -> Any:
    return _module("test_bad_files.py").SMALL


# Kind, module, table or the test that has it, and how a row becomes files, of which the first
# is opened.
_TABLES: tuple[tuple[str, str, str, Callable[[Any], Files]], ...] = (
    ("safetensors", "test_safetensors_hostile.py", "BAD", _named("model.safetensors")),
    ("torch.save, zip", "test_torch_pickle_hostile.py", "BAD", _named("pytorch_model.bin")),
    ("torch.save, zip", "test_stored_zip.py", "BAD", _named("pytorch_model.bin")),
    ("torch.save, pickle", "test_inert_pickle.py", "BAD", _in_archive),
    ("torch.save, pickle", "test_nested.py", "BAD", lambda r: _in_archive([pickled(r[0])])),
    ("torch.save, before 1.6", "test_torch_legacy.py", "BAD", _named("pytorch_model.bin")),
    ("npz", "test_npz.py", "BAD", _named("model.npz")),
    ("GGUF", "test_hostile.py", "BAD", _named("model.gguf")),
    ("GGUF, tokenizer", "test_tokens.py", "BAD", _named("model.gguf")),
    ("llm.c", "test_llmc.py", "BAD", _named("gpt2_124M.bin")),
    ("TensorFlow", "test_bundle_hostile.py", "CASES", lambda r: dict(r[0])),
    ("TensorFlow, checkpoint", "test_latest.py", "BAD", _named("checkpoint")),
    ("hparams.json", "test_hparams.py", "BAD", _as_json("hparams.json")),
    ("index of parts", "test_weights.py", "BAD_MAPS", _as_json("model.safetensors.index.json",
                                                               "weight_map")),
    ("index of parts", "test_weights.py", "test_bad_index_texts",
     lambda r: {"model.safetensors.index.json": r[0].encode()}),
    ("not weights", "test_weights.py", "test_what_is_taken_for_weights",
     lambda r: {"model.safetensors": r[0]}),
    ("config.json", "test_strict_json.py", "BAD", _named("config.json")),
    ("config.json", "test_open.py", "test_bad_configs", lambda r: {"config.json": r[0].encode()}),
    ("config.json", "test_hostile_config.py", "FILES",
     lambda r: {"config.json": r.encode()}),
    ("config.json beside weights", "test_hostile_config.py", "TABLE", _beside_weights),
    ("tokenizer's files", "test_bad_files.py", "test_a_bad_file_beside_a_pair", _beside_a_pair),
    ("tokenizer's files", "test_hostile_files.py", "BESIDE", _beside_a_pair),
    ("tokenizer's files", "test_hostile_files.py", "WHOLE", _tokenizer_json),
)  # fmt: skip

# Which of the kinds are files of which format.
OF_FORMAT = {
    "safetensors": "safetensors",
    "torch zip": "torch.save, zip",
    "torch legacy": "torch.save, before 1.6",
    "npz": "npz",
    "GGUF": "GGUF",
    "llm.c": "llm.c",
    "TensorFlow bundle": "TensorFlow",
}


@cache
def bad_files() -> dict[str, list[Files]]:
    """The files of each row of the tables, distinct, by kind."""
    found: dict[str, dict[bytes, Files]] = {}
    for kind, module, table, make in _TABLES:
        for row in _rows(_module(module), table):
            files = make(row)
            digest = hashlib.sha256(repr(sorted(files.items())).encode()).digest()
            found.setdefault(kind, {}).setdefault(digest, files)
    return {kind: list(files.values()) for kind, files in found.items()}


def read(kind: str, folder: Path, files: Files) -> None:
    """Write the files and read them as npgpt does; raises what that raises."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if kind == "tokenizer's files":
        load_tokenizer(folder)
    elif kind == "config.json":
        read_config_fields(folder)
    elif kind == "config.json beside weights":
        load_checkpoint(folder)
    elif kind == "hparams.json":
        read_hparams(folder)
    else:
        read_weights(folder / next(iter(files)))


@cache
def _module(name: str) -> ModuleType:
    (path,) = _TESTS.rglob(name)
    spec = importlib.util.spec_from_file_location(name.replace("/", "_")[:-3], path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _rows(module: ModuleType, table: str) -> Iterator[Any]:
    found = getattr(module, table)
    if isinstance(found, dict):
        return iter(found.values())
    if isinstance(found, list):
        return (getattr(row, "values", row) for row in found)
    marks = [mark for mark in found.pytestmark if mark.name == "parametrize"]
    return iter(max((mark.args[1] for mark in marks), key=len))


def main() -> None:
    counts = {kind: len(files) for kind, files in bad_files().items()}
    for kind, count in counts.items():
        print(f"{count:5} {kind}")
    print(f"{sum(counts.values()):5} distinct bad files")


if __name__ == "__main__":
    main()
