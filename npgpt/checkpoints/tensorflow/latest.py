"""Which of a folder's TensorFlow checkpoints is meant: the file `checkpoint` says it.

    model_checkpoint_path: "model.ckpt"
    all_model_checkpoint_paths: "model.ckpt"

Source: TensorFlow's tensorflow/python/training/checkpoint_state.proto, as text.
"""

import re
from pathlib import Path

from npgpt.checkpoints.files import find, is_plain_name, read_bytes
from npgpt.checkpoints.tensorflow.bundle import SUFFIX
from npgpt.errors import CheckpointError
from npgpt.quoting import quoted

FILE_NAME = "checkpoint"
_LIMIT = 100_000  # bytes
_PATH = "model_checkpoint_path"
_LINE = re.compile(
    rf'(?P<name>{_PATH}|all_model_checkpoint_paths): "(?P<path>[^"\\]+)"'
    r"|(all_model_checkpoint_timestamps|last_preserved_timestamp): [0-9.e+-]+"
)
_INSTEAD = f"give the {SUFFIX} file itself"


def index_of(folder: Path) -> Path | None:
    """The index of the folder's TensorFlow checkpoint, or None where there is none.

    It is the one that the file `checkpoint` names, or without such a file the only one that is
    there. Raises CheckpointError for a `checkpoint` that says no name, or a path, or the name of
    what is not there; and where there are several and no `checkpoint`.
    """
    if not (folder / FILE_NAME).is_dir() and (state := find(folder, FILE_NAME)):
        prefix = _prefix(state)
        if not is_plain_name(prefix):
            raise CheckpointError(
                f"{state}: the checkpoint is at {quoted(prefix)}, which is not a name in this "
                f"folder; write the name alone, or {_INSTEAD}"
            )
        named = find(folder, prefix + SUFFIX)
        if named is None:
            raise CheckpointError(
                f"{state}: names {quoted(prefix)}, but there is no {quoted(prefix + SUFFIX)} "
                f"here; fetch it, or {_INSTEAD}"
            )
        return named
    names = [path.name for path in sorted(folder.glob(f"*{SUFFIX}")) if _has_data(path)]
    if len(names) > 1:
        raise CheckpointError(
            f"{folder}: {len(names)} checkpoints of TensorFlow's, {quoted(names[0])} and more, "
            f"and no file {FILE_NAME!r} to choose one; {_INSTEAD}"
        )
    return find(folder, names[0]) if names else None


def _has_data(index: Path) -> bool:
    """Whether there is a first file of data, too: others call their files .index as well."""
    start = f"{index.name.removesuffix(SUFFIX)}.data-00000-of-"
    return any(path.name.startswith(start) for path in index.parent.iterdir())


def _prefix(state: Path) -> str:
    """The one model_checkpoint_path."""
    try:
        lines = read_bytes(state, _LIMIT).decode().splitlines()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{state}: not UTF-8 at byte {error.start}; {_INSTEAD}") from None
    paths = []
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line.strip())
        if line.strip() and not match:
            raise CheckpointError(
                f"{state}: line {number} is {quoted(line)}; expected a field of TensorFlow's "
                f'file {FILE_NAME!r}, such as {_PATH}: "model.ckpt", or {_INSTEAD}'
            )
        if match and match["name"] == _PATH:
            paths.append(match["path"])
    if len(paths) != 1:
        raise CheckpointError(f"{state}: {_PATH} is there {len(paths)} times; {_INSTEAD}")
    return str(paths[0])
