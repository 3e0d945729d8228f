"""The two small files beside a TensorFlow checkpoint: `checkpoint` and OpenAI's `hparams.json`.

`checkpoint` says which of a folder's checkpoints is meant:

    model_checkpoint_path: "model.ckpt"
    all_model_checkpoint_paths: "model.ckpt"

`hparams.json` states the model's sizes, in OpenAI's release of GPT-2.

Sources: TensorFlow's tensorflow/python/training/checkpoint_state.proto, as text;
https://github.com/openai/gpt-2, src/model.py, which also fixes what hparams.json does not state:
the activation, the 1e-5 of the layer norms, and the head that is the token embedding.
"""

import re
from pathlib import Path
from typing import Any

from npgpt._config import from_json
from npgpt._quoting import kind, quoted
from npgpt.checkpoints._files import find, is_plain_name, read_bytes, read_json_object
from npgpt.errors import CheckpointError, ConfigError

INDEX_SUFFIX = ".index"
HPARAMS_FILE = "hparams.json"
_NAMES = {
    "n_vocab": "vocab_size",
    "n_ctx": "n_positions",
    "n_embd": "n_embd",
    "n_head": "n_head",
    "n_layer": "n_layer",
}
_MOST = 2**31 - 1


def read_hparams(folder: Path) -> dict[str, Any] | None:
    """The fields of a config.json that the folder's hparams.json amounts to, None without one.

    Other fields (dropout rates, in files that came after OpenAI's) are ignored. Raises
    CheckpointError where it is no JSON object, and ConfigError for sizes that are missing, not
    whole numbers from 1 to 2^31-1 (for n_layer, 0), or no GPT-2's.
    """
    path = find(folder, HPARAMS_FILE)
    if path is None:
        return None
    stated = read_json_object(path)
    sizes: dict[str, Any] = {}
    for name, field in _NAMES.items():
        if name not in stated:
            raise ConfigError(f"{path}: no {name}; fetch it from where the weights are from")
        size = stated[name]
        least = 0 if name == "n_layer" else 1
        # `type`, not `isinstance`: True is no size.
        if type(size) is not int or not least <= size <= _MOST:
            raise ConfigError(
                f"{path}: {name} is {kind(size)}; expected a whole number, {least} to {_MOST}"
            )
        sizes[field] = size
    fields = {
        **sizes,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    }
    try:
        from_json(fields)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return fields


STATE_FILE = "checkpoint"
_LIMIT = 100_000  # bytes
_PATH = "model_checkpoint_path"
_LINE = re.compile(
    rf'(?P<name>{_PATH}|all_model_checkpoint_paths): "(?P<path>[^"\\]+)"'
    r"|(all_model_checkpoint_timestamps|last_preserved_timestamp): [0-9.e+-]+"
)
_INSTEAD = f"give the {INDEX_SUFFIX} file itself"


def index_of(folder: Path) -> Path | None:
    """The index of the folder's TensorFlow checkpoint, or None where there is none.

    It is the one that the file `checkpoint` names, or without such a file the only one that is
    there. Raises CheckpointError for a `checkpoint` that says no name, or a path, or the name of
    what is not there; and where there are several and no `checkpoint`.
    """
    if not (folder / STATE_FILE).is_dir() and (state := find(folder, STATE_FILE)):
        prefix = _prefix(state)
        if not is_plain_name(prefix):
            raise CheckpointError(
                f"{state}: the checkpoint is at {quoted(prefix)}, which is not a name in this "
                f"folder; write the name alone, or {_INSTEAD}"
            )
        named = find(folder, prefix + INDEX_SUFFIX)
        if named is None:
            raise CheckpointError(
                f"{state}: names {quoted(prefix)}, but there is no {quoted(prefix + INDEX_SUFFIX)} "
                f"here; fetch it, or {_INSTEAD}"
            )
        return named
    names = [path.name for path in sorted(folder.glob(f"*{INDEX_SUFFIX}")) if _has_data(path)]
    if len(names) > 1:
        raise CheckpointError(
            f"{folder}: {len(names)} checkpoints of TensorFlow's, {quoted(names[0])} and more, "
            f"and no file {STATE_FILE!r} to choose one; {_INSTEAD}"
        )
    return find(folder, names[0]) if names else None


def _has_data(index: Path) -> bool:
    """Whether there is a first file of data, too: others call their files .index as well."""
    start = f"{index.name.removesuffix(INDEX_SUFFIX)}.data-00000-of-"
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
                f'file {STATE_FILE!r}, such as {_PATH}: "model.ckpt", or {_INSTEAD}'
            )
        if match and match["name"] == _PATH:
            paths.append(match["path"])
    if len(paths) != 1:
        raise CheckpointError(f"{state}: {_PATH} is there {len(paths)} times; {_INSTEAD}")
    return str(paths[0])
