"""The names of GPT-2's tensors: from what files call them to what `model.parameters` does."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from npgpt.checkpoints.dtypes import Stored
from npgpt.errors import CheckpointError
from npgpt.quoting import listed, quoted

PREFIX = "transformer."  # of all tensors but the head, in files of GPT2LMHeadModel
WRAPPERS = ("module.", "_orig_mod.")  # of all tensors: DistributedDataParallel's, torch.compile's
HEAD = "lm_head.weight"
TABLE = "wte.weight"
# The causal mask and the value it filled in, which old versions of transformers saved, and nanoGPT
# and minGPT too.
_BUFFER = re.compile(r"h\.[0-9]+\.attn\.(masked_bias|bias|mask)")
# Any name a model might give. Others are cut and escaped in messages, not listed among the rest.
_LONGEST = 100
_ORDINARY = re.compile(rf"[!-~]{{1,{_LONGEST}}}")

T = TypeVar("T")


def prefix(names: Iterable[str]) -> str:
    """The prefix that the tensors' names share: none, "transformer.", or one with its wrappers'.

    >>> prefix(["lm_head.weight", "transformer.wte.weight"]), prefix(["wte.weight"])
    ('transformer.', '')
    >>> prefix(["_orig_mod.transformer.wte.weight", "_orig_mod.lm_head.weight"])
    '_orig_mod.transformer.'
    """
    known = list(names)
    found = _wrappers(known)
    return found + PREFIX if any(name.startswith(found + PREFIX) for name in known) else found


def _wrappers(names: Sequence[str]) -> str:
    found = ""
    # Each turn makes the prefix longer, and no name that is one is longer than this.
    while len(found) < _LONGEST:
        more = next((w for w in WRAPPERS if any(n.startswith(found + w) for n in names)), "")
        if not more:
            break
        found += more
    return found


def check_ordinary(names: Iterable[str], where: str) -> None:
    """Raise CheckpointError for a name that is empty, over 100 characters, or not visible ASCII."""
    for name in names:
        if not _ORDINARY.fullmatch(name):
            raise CheckpointError(f"{where}: no tensor of a GPT-2 is named {quoted(name)}")


def canonical(tensors: Mapping[str, T], where: str) -> dict[str, T]:
    """The tensors by their names without prefix, and without the buffers that hold no weights.

    Raises CheckpointError, starting with `where`, if only some of the names have the prefix, or
    one is no name at all: empty, over 100 characters, or not all visible ASCII.

    >>> canonical({"transformer.wte.weight": 1, "transformer.h.0.attn.bias": 2}, "an example")
    {'wte.weight': 1}
    """
    check_ordinary(tensors, where)
    common, head = prefix(tensors), _wrappers(list(tensors)) + HEAD
    bare = [name for name in tensors if not name.startswith(common) and name != head]
    if bare:
        raise CheckpointError(
            f"{where}: some names start with {common!r} and others do not: "
            f"{listed(bare)}; a checkpoint holds one model"
        )
    renamed = {HEAD if n == head else n.removeprefix(common): t for n, t in tensors.items()}
    if len(renamed) != len(tensors):
        raise CheckpointError(f"{where}: {head!r} and {common + HEAD!r} are the same name")
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
            for row, twin in zip(np.atleast_1d(one.data), np.atleast_1d(other.data), strict=True)
        )
    )
