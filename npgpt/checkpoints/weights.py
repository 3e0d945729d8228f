"""Finding a model's weights in a folder, and reading them whatever their format."""

import os
from pathlib import Path

from npgpt.checkpoints import safetensors, strict_json
from npgpt.checkpoints.contents import Weights
from npgpt.checkpoints.dtypes import Stored
from npgpt.checkpoints.files import find, map_file, read_bytes
from npgpt.checkpoints.quoting import kind, quoted
from npgpt.errors import CheckpointError

SAFETENSORS, TORCH = "safetensors", "torch zip"
_INDEX = ".index.json"
# In the order in which they are looked for; the same as in transformers.
FILE_NAMES = (
    "model.safetensors",
    f"model.safetensors{_INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{_INDEX}",
)
_NOT_WEIGHTS = (".json", ".txt", ".bpe")
# What is found in place of weights, told by the bytes at one place of it.
_MISTAKEN = (
    (
        0,
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
        "written by torch before 1.6, or in its old format; read it with torch.load and save it "
        "again with torch.save",
    ),
    (257, b"ustar", "a tar archive; if torch wrote it, load it with torch and save it again"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file; run `git lfs pull`"),
    (0, b"\x80", "a bare pickle; save model.state_dict() with torch.save"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file; npgpt reads safetensors and torch.save's archives"),
    (0, b"GGUF", "a GGUF file; npgpt reads safetensors and torch.save's archives"),
)


def locate(path: str | os.PathLike[str]) -> Path:
    """The file of weights, or their index, that `path` means: itself, or one in that folder.

    A path to another file of a checkpoint (config.json, vocab.bpe) means its folder. Raises
    CheckpointError where nothing is found, naming what was looked for.
    """
    given = Path(path)
    if not os.path.lexists(given):
        raise CheckpointError(
            f"{str(given)!r}: no such file or folder; give a folder that holds config.json and "
            f"one of {', '.join(FILE_NAMES)}"
        )
    if not given.is_dir():
        if given.name.endswith(_INDEX) or given.suffix not in _NOT_WEIGHTS:
            return given
        given = given.parent
    for name in FILE_NAMES:
        if found := find(given, name):
            return found
    raise CheckpointError(f"{given}: no weights here; looked for {', '.join(FILE_NAMES)}")


def read(path: str | os.PathLike[str], *, check_sums: bool = True) -> Weights:
    """The weights that `path` means (see `locate`), from one file or several.

    With `check_sums` the formats that have checksums are read once to compare them. Raises
    CheckpointError for files that are missing, damaged or hostile.
    """
    found = locate(path)
    if found.name.endswith(_INDEX):
        return _shards(found, check_sums)
    form, tensors = _file(found, check_sums)
    return Weights(form, (found,), tensors)


def _file(path: Path, check_sums: bool) -> tuple[str, dict[str, Stored]]:
    """One file's tensors, by the format that its first bytes show, whatever its name."""
    data = map_file(path)
    if data[:4] in (b"PK\3\4", b"PK\5\6"):
        # Imported here because few models need it, and it takes a tenth of the time to import all.
        from npgpt.checkpoints import torch_pickle

        return TORCH, torch_pickle.read(path, check_sums=check_sums)
    if data[8:9] == b"{":
        return SAFETENSORS, safetensors.read(path)
    for place, mark, meaning in _MISTAKEN:
        if data[place : place + len(mark)] == mark:
            raise CheckpointError(f"{path}: {meaning}")
    raise CheckpointError(
        f"{path}: neither a safetensors file nor an archive of torch.save; it starts with "
        f"{data[:8]!r}: fetch it again"
    )


def _shards(index: Path, check_sums: bool) -> Weights:
    """The tensors of all files that an index names, each in the one file it is said to be in."""
    fields = strict_json.parse_object(read_bytes(index, strict_json.LIMIT), str(index))
    places = fields.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        raise CheckpointError(
            f"{index}: weight_map is {kind(places)}; expected an object of file names"
        )
    found = {name: find(index.parent, name) for name in dict.fromkeys(places.values())}
    paths = {name: path for name, path in found.items() if path}
    missing = [quoted(name) for name in found if name not in paths]
    if missing:
        raise CheckpointError(f"{index}: missing {', '.join(missing)}; fetch all of its files")
    contents: dict[str, set[str]] = {name: set() for name in paths}
    for tensor, name in places.items():
        contents[name].add(tensor)
    tensors: dict[str, Stored] = {}
    forms = set()
    for name, path in paths.items():
        form, held = _file(path, check_sums)
        strays = sorted(contents[name].symmetric_difference(held))
        if strays:
            raise CheckpointError(
                f"{path}: the file and {index.name} disagree on whether it holds "
                f"{', '.join(map(quoted, strays))}; fetch both again"
            )
        tensors |= held
        forms.add(form)
    return Weights(" and ".join(sorted(forms)), (index, *paths.values()), tensors)
