"""Inspection of a checkpoint: what its files hold, also where npgpt refuses to open them.

`npgpt inspect` prints this, with --json as it is here.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npgpt._config import to_json
from npgpt.checkpoints._files import digest
from npgpt.checkpoints._finite import is_finite
from npgpt.checkpoints._formats import format_name, pickle_in
from npgpt.checkpoints._listing import list_tensors
from npgpt.checkpoints._loading import CONFIG, GENERATION_CONFIG, Checkpoint
from npgpt.checkpoints._loading import load as load_checkpoint
from npgpt.checkpoints._tensorflow.sidecars import HPARAMS_FILE
from npgpt.checkpoints._weights import locate
from npgpt.errors import NpgptError
from npgpt.model._parameters import shapes, to_arrays
from npgpt.tokenizer._files import ADDED_TOKENS, TOKENIZER_CONFIG, TOKENIZER_JSON, VOCAB_AND_MERGES

_SMALL_FILES = (
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER_JSON,
    *(name for pair in VOCAB_AND_MERGES.items() for name in pair),
    ADDED_TOKENS,
    TOKENIZER_CONFIG,
    HPARAMS_FILE,
)


def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the files of a model hold, as JSON takes it.

    model, format and dialect (None where they are not known); safe, whether npgpt used the file,
    which then runs nothing; names, the functions and classes that its pickles name, or None where
    it has no pickle; tensors (each with name, dtype, shape, bytes), bytes, files (each with name,
    bytes, sha256); and config, generation_config, tokenizer, parameters, and non_finite, how many
    values are NaN or infinite, by tensor. Where npgpt refuses the model, `refused` says why, and
    what could not be found out is missing.

    Raises CheckpointError where nothing is found at `path`. Warns as `load` does.
    """
    return inspect_with_error(path)[0]


def inspect_with_error(path: str | os.PathLike[str]) -> tuple[dict[str, Any], NpgptError | None]:
    """As `inspect`, and the error for which npgpt refuses the model, or None."""
    located = locate(path)
    try:
        listing = list_tensors(located)
    except NpgptError as error:
        return _refused(path, located, error), error
    facts: dict[str, Any] = {
        "model": os.fspath(path),
        "format": listing.format,
        "dialect": listing.dialect,
        "safe": True,
        "names": _names(listing.files),
    }
    # Opened in the widest dtype that is stored, so that no number becomes infinite on the way.
    stored = {tensor.dtype for tensor in listing.tensors}
    refused: NpgptError | None = None
    small: list[Path] = []
    try:
        checkpoint = load_checkpoint(located, dtype="float64" if "float64" in stored else "float32")
    except NpgptError as error:
        refused = error
        facts["refused"] = str(error)
    else:
        small = [path for name in _SMALL_FILES if (path := located.parent / name).is_file()]
        facts |= {
            "config": to_json(checkpoint.config),
            "generation_config": checkpoint.generation_config,
            "tokenizer": _tokenizer(checkpoint),
            "parameters": sum(int(np.prod(shape)) for shape in shapes(checkpoint.config).values()),
            "non_finite": _non_finite(checkpoint),
        }
    facts |= {
        "tensors": [
            {"name": t.name, "dtype": t.dtype, "shape": t.shape, "bytes": t.nbytes}
            for t in listing.tensors
        ],
        "bytes": listing.nbytes,
        "files": [_file(file) for file in (*listing.files, *small)],
    }
    return facts, refused


def _refused(path: str | os.PathLike[str], located: Path, error: NpgptError) -> dict[str, Any]:
    try:
        name = format_name(located)
    except NpgptError:
        name = None
    return {
        "model": os.fspath(path),
        "format": name,
        "dialect": None,
        "safe": False,
        "names": _names([located]),
        "refused": str(error),
    }


def _names(files: Sequence[Path]) -> list[str] | None:
    """The functions and classes that the files' pickles name; None where there is no pickle."""
    named = [names for file in files if (names := _names_in(file)) is not None]
    return sorted({name for names in named for name in names}) if named else None


def _names_in(file: Path) -> list[str] | None:
    try:
        pickle = pickle_in(file)
    except NpgptError:
        return None
    if pickle is None:
        return None
    # Imported here because few models have pickles.
    from npgpt.checkpoints._torch.pickle_names import names_in_pickle

    return names_in_pickle(pickle)


def _tokenizer(checkpoint: Checkpoint) -> dict[str, Any] | None:
    tokenizer = checkpoint.tokenizer
    if tokenizer is None:
        return None
    return {
        "tokens": tokenizer.vocab_size,
        "merges": len(tokenizer.merges),
        "special_tokens": tokenizer.special_tokens,
    }


def _non_finite(checkpoint: Checkpoint) -> dict[str, int]:
    """How many values are NaN or infinite, by tensor, where any are."""
    return {
        name: int(np.count_nonzero(~np.isfinite(array)))
        for name, array in to_arrays(checkpoint.parameters).items()
        if not is_finite(array)
    }


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest(path)}
