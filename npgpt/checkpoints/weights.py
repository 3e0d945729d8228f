"""Finding a model's weights, and reading them whatever their format.

safetensors, pytorch_model.bin     whole or in parts with an index, by their usual names
*.gguf, *.npz, ckpt.pt, *.bin      GGUF, NumPy's archives, nanoGPT's checkpoints, llm.c's files
*.index                            TensorFlow's checkpoints, as OpenAI released them
"""

import os
from pathlib import Path

from npgpt.checkpoints.files import JSON_LIMIT, find, map_file, parse_json_object, read_bytes
from npgpt.checkpoints.hub.cache import resolve_model
from npgpt.checkpoints.safetensors import read_safetensors
from npgpt.checkpoints.tensors import Stored, Weights
from npgpt.errors import CheckpointError
from npgpt.quoting import kind, listed, quoted

SAFETENSORS = "safetensors"
_INDEX = ".index.json"
_MOST_TENSORS = 20_000  # of all parts together; GPT-2 XL has 581
# In the order in which they are looked for; the same as in transformers.
FILE_NAMES = (
    "model.safetensors",
    f"model.safetensors{_INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{_INDEX}",
)
# Of these a folder may hold one, whatever it is named.
_NANOGPT = "ckpt.pt"
_SUFFIXES = (".gguf", ".npz")
_BIN = ".bin"
_TENSORFLOW = ".index"
_LISTING = "checkpoint"  # of TensorFlow's, which says the latest
_NOT_WEIGHTS = (".json", ".txt", ".bpe")

_ZIP_FORM, _PICKLE_FORM = "zip", "pickle"
_ZIP = (b"PK\3\4", b"PK\5\6")
_GGUF = b"GGUF"
_LLMC = (20240326).to_bytes(4, "little")
_TENSORFLOW_END = bytes.fromhex("57fb808b247547db")
# What is found in place of weights, told by the bytes at one place of it.
_MISTAKEN = (
    (257, b"ustar", "a tar archive; if torch wrote it, load it with torch and save it again"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file; run `git lfs pull`"),
    (0, b"\x80", "a bare pickle; save model.state_dict() with torch.save"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file; npgpt reads safetensors and torch.save's archives"),
)


def locate(path: str | os.PathLike[str]) -> Path:
    """The file of weights, or their index, that `path` means: itself, or one in that folder.

    A path to another file of a checkpoint (config.json, vocab.bpe) means its folder, and
    PREFIX means PREFIX.index of TensorFlow's. Raises CheckpointError where nothing is found,
    naming what was looked for, and where there are several to choose from.
    """
    if _is_tensorflow_prefix(path):
        return Path(f"{os.fspath(path)}{_TENSORFLOW}")
    given = resolve_model(path, FILE_NAMES)
    if not os.path.lexists(given):
        raise CheckpointError(
            f"{str(given)!r}: no such file or folder; give a folder that holds config.json and "
            f"one of {', '.join(FILE_NAMES)}"
        )
    if not given.is_dir():
        if given.name.endswith(_INDEX):
            return given
        if given.suffix not in _NOT_WEIGHTS and given.name != _LISTING:
            return given
        given = given.parent
    for name in FILE_NAMES:
        if found := find(given, name):
            return found
    names = [
        name
        for name in _names(given)
        if name.endswith(_SUFFIXES) or name == _NANOGPT or _is_llmc(given / name)
    ]
    if len(names) > 1:
        raise CheckpointError(
            f"{given}: holds {', '.join(map(quoted, names[:9]))}; which is meant? give that "
            "file's path"
        )
    # Imported here because few folders come so far.
    from npgpt.checkpoints.tensorflow.sidecars import index_of

    if found := find(given, names[0]) if names else index_of(given):
        return found
    raise CheckpointError(
        f"{given}: no weights here; looked for {', '.join(FILE_NAMES)}, *.gguf, *.npz, {_NANOGPT}, "
        f"llm.c's *{_BIN} and TensorFlow's *{_TENSORFLOW}"
    )


def _is_tensorflow_prefix(path: str | os.PathLike[str]) -> bool:
    return not os.path.lexists(path) and os.path.lexists(f"{os.fspath(path)}{_TENSORFLOW}")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror})") from error


def _is_llmc(path: Path) -> bool:
    if path.suffix != _BIN or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_LLMC)) == _LLMC
    except OSError:
        return False


def read_weights(path: str | os.PathLike[str], *, check_sums: bool = True) -> Weights:
    """The weights that `path` means (see `locate`), from one file or several.

    With `check_sums` the formats that have checksums are read once to compare them. Raises
    CheckpointError for files that are missing, damaged or hostile.
    """
    found = locate(path)
    if found.name.endswith(_INDEX):
        return _shards(found, check_sums)
    return _file(found, check_sums)


def guess(path: Path) -> str | None:
    """The name of the format that the file's first bytes show, or None where they show none.

    "zip" is an archive, of torch.save or NumPy; "pickle", one of neither form of torch.save's.
    Raises CheckpointError for a file that is empty or cannot be read.
    """
    data = map_file(path)
    start = data[:4]
    if start in _ZIP:
        return _ZIP_FORM
    if start == _GGUF:
        return "GGUF"
    if start == _LLMC:
        return "llm.c"
    if path.name.endswith(_TENSORFLOW) or data[-len(_TENSORFLOW_END) :] == _TENSORFLOW_END:
        return "TensorFlow bundle"
    if start[:1] == b"\x80":
        # Also the length of every 32nd safetensors header starts so, and is far below 2^32.
        if data[4:9] == b"\0\0\0\0{":
            return SAFETENSORS
        from npgpt.checkpoints.torch.legacy import TORCH_LEGACY, is_torch_legacy

        return TORCH_LEGACY if is_torch_legacy(data) else _PICKLE_FORM
    return SAFETENSORS if data[8:9] == b"{" else None


def _file(path: Path, check_sums: bool) -> Weights:
    """One file's contents, by the format that its first bytes show, whatever its name.

    Readers are imported where they are needed: it takes a tenth of the time to import all.
    """
    form = guess(path)
    if form == SAFETENSORS:
        return Weights(SAFETENSORS, (path,), read_safetensors(path))
    if form == _ZIP_FORM:
        return _archive(path, check_sums)
    if form == "GGUF":
        from npgpt.checkpoints.gguf.reader import read_gguf

        return read_gguf(path, check_sums=check_sums)
    if form == "llm.c":
        from npgpt.checkpoints.llmc import read_llmc

        return read_llmc(path, check_sums=check_sums)
    if form == "TensorFlow bundle":
        from npgpt.checkpoints.tensorflow.bundle import read_bundle

        return read_bundle(path, check_sums=check_sums)
    if form == "torch legacy":
        from npgpt.checkpoints.torch.legacy import read_torch_legacy

        return read_torch_legacy(path, check_sums=check_sums)
    data = map_file(path)
    for place, mark, meaning in _MISTAKEN:
        if data[place : place + len(mark)] == mark:
            raise CheckpointError(f"{path}: {meaning}")
    raise CheckpointError(
        f"{path}: neither a safetensors file nor an archive of torch.save, nor any other file of "
        f"weights that npgpt knows; it starts with {data[:8]!r}: fetch it again"
    )


def _archive(path: Path, check_sums: bool) -> Weights:
    from npgpt.checkpoints.npz import is_npz, read_npz
    from npgpt.checkpoints.stored_zip import DEFLATED, STORED, zip_members
    from npgpt.checkpoints.torch.zip import read_torch_zip

    methods = (STORED, DEFLATED)
    if is_npz(zip_members(map_file(path), str(path), methods=methods)):
        return read_npz(path, check_sums=check_sums)
    return read_torch_zip(path, check_sums=check_sums)


def weight_map(index: Path) -> dict[str, str]:
    """The file that each tensor is in, as an index of parts says; names of files, not checked.

    Raises CheckpointError where it says no such thing, or names too many tensors.
    """
    fields = parse_json_object(read_bytes(index, JSON_LIMIT), str(index))
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


def _shards(index: Path, check_sums: bool) -> Weights:
    """The tensors of all files that an index names, each in the one file it is said to be in."""
    places = weight_map(index)
    found = {name: find(index.parent, name) for name in dict.fromkeys(places.values())}
    paths = {name: path for name, path in found.items() if path}
    missing = [name for name in found if name not in paths]
    if missing:
        raise CheckpointError(f"{index}: missing {listed(missing)}; fetch all of its files")
    contents: dict[str, set[str]] = {name: set() for name in paths}
    for tensor, name in places.items():
        contents[name].add(tensor)
    tensors: dict[str, Stored] = {}
    forms = set()
    for name, path in paths.items():
        part = _file(path, check_sums)
        held = part.tensors
        strays = sorted(contents[name].symmetric_difference(held))
        if strays:
            raise CheckpointError(
                f"{path}: the file and {index.name} disagree on whether it holds "
                f"{listed(strays)}; fetch both again"
            )
        tensors |= held
        forms.add(part.form)
    return Weights(" and ".join(sorted(forms)), (index, *paths.values()), tensors)
