"""Finding the files that hold a model's weights, and reading them whatever their format.

A file is given, or looked for in a folder: safetensors and pytorch_model.bin, whole or in parts
with an index, by their usual names; then those that `formats.FORMATS` looks for.
"""

import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from npgpt._quoting import kind, listed, quoted
from npgpt.checkpoints._files import find, read_json_object
from npgpt.checkpoints._formats import FORMATS, Format, read_file, recognise
from npgpt.checkpoints._hub.cache import resolve_model
from npgpt.checkpoints._tensorflow.sidecars import INDEX_SUFFIX, STATE_FILE
from npgpt.checkpoints._tensors import Stored, Weights
from npgpt.errors import CheckpointError

_PARTS = ".index.json"
_MOST_TENSORS = 20_000  # of all parts together; GPT-2 XL has 581
# In the order in which they are looked for; the same as in transformers.
FILE_NAMES = (
    "model.safetensors",
    f"model.safetensors{_PARTS}",
    "pytorch_model.bin",
    f"pytorch_model.bin{_PARTS}",
)
_NOT_WEIGHTS = (".json", ".txt", ".bpe")


def locate(path: str | os.PathLike[str]) -> Path:
    """The file of weights, or their index, that `path` means: itself, or one in that folder.

    A path to another file of a checkpoint (config.json, vocab.bpe) means its folder, and
    PREFIX means PREFIX.index of TensorFlow's. Raises CheckpointError where nothing is found,
    naming what was looked for, and where there are several to choose from.
    """
    prefixed = f"{os.fspath(path)}{INDEX_SUFFIX}"
    if not os.path.lexists(path) and os.path.lexists(prefixed):
        return Path(prefixed)
    given = resolve_model(path, FILE_NAMES)
    if not os.path.lexists(given):
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", os.fspath(path)):
            address = re.sub(
                ":/+", "://", os.fspath(path), count=1
            )  # of which Path makes one slash
            raise CheckpointError(
                f"{address!r}: an address, and npgpt opens files; get a model of the "
                "Hugging Face hub by `npgpt fetch NAME`, or save its files in a folder"
            )
        raise CheckpointError(
            f"{str(given)!r}: no such file or folder; give a folder that holds config.json and "
            f"one of {', '.join(FILE_NAMES)}"
        )
    if given.is_dir():
        return _in_folder(given)
    if given.name.endswith(_PARTS):
        return given
    if given.suffix in _NOT_WEIGHTS or given.name == STATE_FILE:
        return _in_folder(given.parent)
    return given


def _in_folder(folder: Path) -> Path:
    for name in FILE_NAMES:
        if path := find(folder, name):
            return path
    names = [name for name in _names(folder) if _is_looked_for(folder / name)]
    if len(names) > 1:
        raise CheckpointError(
            f"{folder}: holds {', '.join(map(quoted, names[:9]))}; which is meant? give that "
            "file's path"
        )
    if names and (path := find(folder, names[0])):
        return path
    for format_ in FORMATS:
        if format_.find and (path := format_.find(folder)):
            return path
    *looked_for, last = (format_.looked_for for format_ in FORMATS if format_.looked_for)
    raise CheckpointError(
        f"{folder}: no weights here; looked for {', '.join([*FILE_NAMES, *looked_for])} and {last}"
    )


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror})") from error


def _is_looked_for(path: Path) -> bool:
    """Whether a format is looked for by such a name, and if others have it too, begins so."""
    return any(
        fnmatchcase(path.name, format_.pattern)
        and (not format_.is_shared or _begins_as(format_, path))
        for format_ in FORMATS
        if format_.pattern and not format_.find
    )


def _begins_as(format_: Format, path: Path) -> bool:
    try:
        return format_ in recognise(path)
    except CheckpointError:
        return False


def read_weights(path: str | os.PathLike[str], *, check_sums: bool = True) -> Weights:
    """The weights that `path` means (see `locate`), from one file or several.

    With `check_sums` the formats that have checksums are read once to compare them. Raises
    CheckpointError for files that are missing, damaged or hostile.
    """
    located = locate(path)
    if located.name.endswith(_PARTS):
        return _parts(located, check_sums)
    return read_file(located, check_sums=check_sums)


def weight_map(index: Path) -> dict[str, str]:
    """The file that each tensor is in, as an index of parts says; names of files, not checked.

    Raises CheckpointError where it says no such thing, or names too many tensors.
    """
    fields = read_json_object(index)
    places = fields.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        raise CheckpointError(
            f"{index}: weight_map is {kind(places)}; expected an object of file names"
        )
    if len(places) > _MOST_TENSORS:
        raise CheckpointError(
            f"{index}: weight_map names {len(places)} tensors; npgpt reads at most {_MOST_TENSORS}"
        )
    return places


def _parts(index: Path, check_sums: bool) -> Weights:
    """The tensors of all files that an index names, each in the one file it says."""
    file_of = weight_map(index)
    named = {name: find(index.parent, name) for name in dict.fromkeys(file_of.values())}
    paths = {name: path for name, path in named.items() if path}
    missing = [name for name in named if name not in paths]
    if missing:
        raise CheckpointError(f"{index}: missing {listed(missing)}; fetch all of its files")
    expected: dict[str, set[str]] = {name: set() for name in paths}
    for tensor, name in file_of.items():
        expected[name].add(tensor)
    tensors: dict[str, Stored] = {}
    parts = {name: read_file(path, check_sums=check_sums) for name, path in paths.items()}
    for name, part in parts.items():
        path = paths[name]
        strays = sorted(expected[name].symmetric_difference(part.tensors))
        if strays:
            raise CheckpointError(
                f"{path}: the file and {index.name} disagree on whether it holds "
                f"{listed(strays)}; fetch both again"
            )
        tensors |= part.tensors
    return Weights(
        " and ".join(sorted({part.form for part in parts.values()})),
        (index, *paths.values()),
        tensors,
        _config_of_parts(parts, index),
        doubts={name: why for part in parts.values() for name, why in part.doubts.items()},
    )


def _config_of_parts(parts: Mapping[str, Weights], index: Path) -> dict[str, Any] | None:
    """What the parts' own configs say together, or None where none has one.

    Raises CheckpointError where two say different things of one field.
    """
    stated: dict[str, tuple[str, Any]] = {}
    for name, part in parts.items():
        for field, value in (part.config or {}).items():
            other, known = stated.setdefault(field, (name, value))
            if known != value:
                raise CheckpointError(
                    f"{index}: {field} is {kind(known)} in {quoted(other)} and {kind(value)} in "
                    f"{quoted(name)}; take all parts from one place"
                )
    has_config = any(part.config is not None for part in parts.values())
    return {field: value for field, (_, value) in stated.items()} if has_config else None
