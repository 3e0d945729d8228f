"""trace.safetensors, the arrays of a saved trace."""

from __future__ import annotations

import re
from pathlib import Path

from npgpt._arrays import Array, Tokens
from npgpt._config import Config
from npgpt._quoting import quoted
from npgpt.audit.saved import _metadata as metadata
from npgpt.checkpoints._safetensors import read_safetensors
from npgpt.checkpoints._tensors import Stored, to_floats
from npgpt.errors import CheckpointError, SettingError
from npgpt.trace import NAMES, Key, check_place

FILE = "trace.safetensors"


def read(path: Path, about: metadata.About) -> dict[Key, Array]:
    """The arrays in the file, as views of it, which are what trace.json makes them.

    Raises CheckpointError, naming the file and the tensor, where one is not.
    """
    arrays: dict[Key, Array] = {}
    for name, stored in read_safetensors(path).items():
        where = f"{path}: tensor {quoted(name)}"
        key = _key(name, about.config.n_layer, where)
        _check(stored, about.dtype, shape_of(key[0], about.config, about.tokens), where)
        arrays[key] = to_floats(stored, about.dtype)
    return arrays


def shape_of(name: str, config: Config, tokens: Tokens) -> tuple[int, ...]:
    """The shape of an activation of a pass on tokens (batch, query), by its axes.

    >>> import numpy as np
    >>> shape_of("pattern", Config(), np.zeros((1, 5), int))
    (1, 12, 5, 5)
    """
    batch, query = tokens.shape
    sizes = {
        "batch": batch, "query": query, "key": query, "kept": query, "one": 1,
        "embd": config.n_embd, "inner": config.inner, "vocab": config.vocab_size,
        "head": config.n_head, "head_dim": config.head_dim,
    }  # fmt: skip
    return tuple(sizes[axis] for axis in NAMES[name].axes.split())


def _key(text: str, layers: int, where: str) -> Key:
    """What `trace.label` made the text of."""
    match = re.fullmatch(r"(\w+)(?:\.(0|[1-9][0-9]{0,8}))?", text, re.ASCII)
    if match is None or match[1] not in NAMES:
        raise CheckpointError(f"{where}: no activation has that name, such as resid_pre.3, logits")
    key = match[1], None if match[2] is None else int(match[2])
    try:
        check_place(*key, layers)
    except SettingError as error:
        raise CheckpointError(f"{where}: {error}") from error
    return key


def _check(stored: Stored, dtype: str, shape: tuple[int, ...], where: str) -> None:
    if stored.dtype.name != dtype or stored.data.shape != shape:
        raise CheckpointError(
            f"{where}: {stored.dtype.name} of shape {stored.data.shape}; dtype, config and tokens "
            f"in {metadata.FILE} make it {dtype} of shape {shape}"
        )
