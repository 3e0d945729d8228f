"""The names of GPT-2's tensors: from what files call them to what `model.parameters` does."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np

from npgpt.checkpoints.dtypes import Stored
from npgpt.checkpoints.quoting import quoted
from npgpt.errors import CheckpointError

PREFIX = "transformer."  # of all tensors but the head, in files of GPT2LMHeadModel
HEAD = "lm_head.weight"
TABLE = "wte.weight"
# The causal mask and the value it filled in, which old versions of transformers saved.
_BUFFER = re.compile(r"h\.[0-9]+\.attn\.(masked_)?bias")
# Any name a model might give. Others are cut and escaped in messages, not listed among the rest.
_ORDINARY = re.compile(r"[!-~]{1,100}")

T = TypeVar("T")


def prefix(names: Iterable[str]) -> str:
    """The prefix that the tensors' names share: "transformer." or none.

    >>> prefix(["lm_head.weight", "transformer.wte.weight"]), prefix(["wte.weight"])
    ('transformer.', '')
    """
    return PREFIX if any(name.startswith(PREFIX) for name in names) else ""


def canonical(tensors: Mapping[str, T], where: str) -> dict[str, T]:
    """The tensors by their names without prefix, and without the buffers that hold no weights.

    Raises CheckpointError, starting with `where`, if only some of the names have the prefix, or
    one is no name at all: empty, over 100 characters, or not all visible ASCII.

    >>> canonical({"transformer.wte.weight": 1, "transformer.h.0.attn.bias": 2}, "an example")
    {'wte.weight': 1}
    """
    for name in tensors:
        if not _ORDINARY.fullmatch(name):
            raise CheckpointError(f"{where}: no tensor of a GPT-2 is named {quoted(name)}")
    common = prefix(tensors)
    bare = [name for name in tensors if not name.startswith(common) and name != HEAD]
    if bare:
        raise CheckpointError(
            f"{where}: some names start with {common!r} and others do not: "
            f"{', '.join(map(quoted, bare))}; a checkpoint holds one model"
        )
    renamed = {name.removeprefix(common): tensor for name, tensor in tensors.items()}
    if len(renamed) != len(tensors):
        raise CheckpointError(f"{where}: {HEAD!r} and {common + HEAD!r} are the same name")
    return {name: tensor for name, tensor in renamed.items() if not _BUFFER.fullmatch(name)}


def settle_head(tensors: Mapping[str, Stored], tied: bool, where: str) -> dict[str, Stored]:
    """The tensors without the head where the config ties it to the token embedding.

    A file may hold a tied matrix under either name, or both. Raises CheckpointError, starting
    with `where`, if both are there and differ.
    """
    settled = dict(tensors)
    if not tied or HEAD not in settled:
        return settled
    head = settled.pop(HEAD)
    table = settled.setdefault(TABLE, head)
    if not _same(head, table):
        raise CheckpointError(
            f"{where}: the config ties {HEAD} to {TABLE}, but the file holds two that differ; "
            "set tie_word_embeddings to false in config.json if the model has a head of its own"
        )
    return settled


def _same(one: Stored, other: Stored) -> bool:
    """Whether two tensors have the same bits."""
    if one is other:
        return True
    unsigned = f"u{one.dtype.itemsize}"  # as numbers, NaN would differ from itself
    return (
        one.dtype is other.dtype
        and one.data.shape == other.data.shape
        and all(
            np.array_equal(row.view(unsigned), twin.view(unsigned))
            for row, twin in zip(one.data, other.data, strict=True)
        )
    )
