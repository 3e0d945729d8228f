"""Loading a checkpoint: config, weights and tokenizer, from a folder or from one file."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._config import Config
from npgpt._quoting import brief
from npgpt.checkpoints._configuration import CONFIG as CONFIG
from npgpt.checkpoints._configuration import agreed_config, read_config_fields
from npgpt.checkpoints._dialects import DIALECTS, HEAD, TABLE, Dialect, translate
from npgpt.checkpoints._files import check_unchanged, find, identity, read_json_object
from npgpt.checkpoints._finite import non_finite
from npgpt.checkpoints._listing import Listing, listing_of
from npgpt.checkpoints._tensors import NARROW, Stored, Weights, as_stored, same_bits, to_floats
from npgpt.checkpoints._weights import locate, read_weights
from npgpt.errors import (
    CheckpointError,
    CheckpointWarning,
    NonFiniteWarning,
    SettingError,
    TokenizerError,
)
from npgpt.model._paging import release, within_memory
from npgpt.model._parameters import Parameters, from_arrays
from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._files import ADDED_TOKENS, TOKENIZER_CONFIG, TOKENIZER_JSON, VOCAB_AND_MERGES
from npgpt.tokenizer._files import load as load_tokenizer

GENERATION_CONFIG = "generation_config.json"
_COMPUTE = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint:
    """An opened model. `tokenizer` is None where the folder has no tokenizer's files.

    Equal to itself alone: to compare models, compare their configs and parameters.
    """

    config: Config
    parameters: Parameters
    tokenizer: Tokenizer | None
    generation_config: dict[str, Any]
    listing: Listing

    def __repr__(self) -> str:
        return (
            f"Checkpoint({self.listing.format!r} of {self.listing.dialect!r}, "
            f"{len(self.listing.tensors)} tensors, {self.config!r}, {self.tokenizer!r})"
        )


def load(
    path: str | os.PathLike[str],
    *,
    dtype: npt.DTypeLike = np.float32,
    widen: bool = True,
    memory: int | None = None,
    tokenizer: Tokenizer | str | os.PathLike[str] | None = None,
) -> Checkpoint:
    """Open the model in a folder, or in a file, whose folder then has what the file does not.

    `weights` says which files of weights there are, and where they are looked for;
    `dialects`, whose names they may have. The config is config.json's, or the one that the file of
    weights states, or both where they agree. generation_config.json and the tokenizer's files may
    be missing; a tokenizer in the file of weights comes before those, and `tokenizer`, one or where
    `tokenizers.read_tokenizer` finds it, before all: the checkpoint's own is then not read.

    The parameters are read-only arrays of `dtype`, float32 or float64. Those stored in that dtype
    stay in their files, mapped into memory, transposed or not; the others are converted, exactly
    unless float64 is asked to become float32. Without `widen`, matrices of float16 and bfloat16
    stay there too, and are converted, with the same result, as they are used: that takes half the
    memory, and time.

    memory, in bytes, is what the process may take; weights that do not fit are then read from the
    file again at each use (`model.paging.within_memory`), and nothing is widened before it is used.

    Warns with NonFiniteWarning, naming the tensors, where weights are NaN or infinite, and with
    CheckpointWarning where the files leave open what the model computes. Raises
    CheckpointError for files that are missing, damaged, hostile, or disagree with the config,
    ConfigError for a config that is no GPT-2's, TokenizerError for a tokenizer's files that
    contradict themselves, and SettingError for another dtype and for a memory that cannot be kept
    to.
    """
    wanted = _compute_dtype(dtype)
    located = locate(path)
    config_before = identity(located.parent / CONFIG)
    beside = read_config_fields(located.parent)
    stored = read_weights(located)
    translated = translate(stored.tensors, str(located))
    config = agreed_config(beside, stored, translated, located)
    _warn_of_doubts(stored.doubts, beside or {})
    tensors = settle_tied_head(translated.tensors, config.tie_word_embeddings, str(located))
    _check_shapes(tensors, config, str(located), translated.dialect)
    if memory is not None:
        _check_unconverted(tensors, wanted, memory)
    arrays = _convert(tensors, wanted, widen and memory is None)
    _warn_if_not_finite(arrays, str(located), release=memory is not None)
    parameters = from_arrays(arrays, config)
    own = _given(tokenizer, config)
    if own is None:
        own = _tokenizer(stored, located.parent)
    generation_config = _optional_object(located.parent, GENERATION_CONFIG)
    check_unchanged(located.parent / CONFIG, config_before)
    if memory is not None:  # after all else that takes some
        parameters = within_memory(parameters, config, memory)
    return Checkpoint(
        config=config,
        parameters=parameters,
        tokenizer=own,
        generation_config=generation_config,
        listing=listing_of(stored),
    )


def settle_tied_head(tensors: Mapping[str, Stored], tied: bool, where: str) -> dict[str, Stored]:
    """The tensors without the head where the config ties it to the token embedding.

    A file may hold a tied matrix under either name, or both. Raises CheckpointError, starting
    with `where`, if both are there and differ.
    """
    headless = dict(tensors)
    if not tied or HEAD not in headless:
        return headless
    head = headless.pop(HEAD)
    table = headless.setdefault(TABLE, head)
    if not same_bits(head, table):
        raise CheckpointError(
            f"{where}: the config ties {HEAD} to {TABLE}, but the file holds two that differ; "
            "set tie_word_embeddings to false in config.json if the model has a head of its own"
        )
    return headless


def _given(
    tokenizer: Tokenizer | str | os.PathLike[str] | None, config: Config
) -> Tokenizer | None:
    if tokenizer is None or isinstance(tokenizer, Tokenizer):
        given, where = tokenizer, "the tokenizer"
    elif not isinstance(tokenizer, (str, os.PathLike)):
        raise SettingError(f"tokenizer is {brief(tokenizer)}; give a path, or a Tokenizer")
    else:
        from npgpt.checkpoints._tokenizers import read_tokenizer  # which few calls need

        given, where = read_tokenizer(tokenizer), os.fspath(tokenizer)
    if given is not None and given.vocab_size > config.vocab_size:
        raise TokenizerError(
            f"{where}: has {given.vocab_size} tokens, and the model knows {config.vocab_size}; "
            "give the one that the model was trained with"
        )
    return given


def _tokenizer(stored: Weights, folder: Path) -> Tokenizer | None:
    return tokenizer_in(folder) if stored.tokenizer is None else stored.tokenizer


def tokenizer_in(folder: Path) -> Tokenizer | None:
    """The tokenizer of a folder's own files, or None where it has none.

    Raises CheckpointError for links that leave the folder, TokenizerError as `tokenizer.files`.
    """
    pairs = (name for pair in VOCAB_AND_MERGES.items() for name in pair)
    for name in (TOKENIZER_JSON, ADDED_TOKENS, TOKENIZER_CONFIG, *pairs):
        find(folder, name)
    return load_tokenizer(folder)


def _optional_object(folder: Path, name: str) -> dict[str, Any]:
    path = find(folder, name)
    return {} if path is None else read_json_object(path)


def _compute_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = np.dtype(object)
    if wanted not in _COMPUTE:
        raise SettingError(f"dtype is {dtype!r}; npgpt computes in float32 or float64")
    return wanted


def _check_shapes(
    tensors: Mapping[str, Stored], config: Config, where: str, dialect: Dialect
) -> None:
    """Raise unless the tensors are those of the config, before any data is read."""
    if config.n_layer > len(tensors):
        raise CheckpointError(
            f"{where}: n_layer is {config.n_layer}, but there are only {len(tensors)} tensors; "
            "take config.json and the weights from one place"
        )
    zero = np.float32(0)
    try:
        from_arrays({n: np.broadcast_to(zero, t.data.shape) for n, t in tensors.items()}, config)
    except CheckpointError as error:
        usual = DIALECTS[0]
        note = "" if dialect is usual else f" (names and shapes as in {usual.name}'s files)"
        raise CheckpointError(f"{where}: {error}{note}") from error
    for name, tensor in tensors.items():
        if not tensor.dtype.holds_weights:
            raise CheckpointError(f"{where}: {name} is {tensor.dtype.name}; weights are floats")


def _check_unconverted(tensors: Mapping[str, Stored], dtype: np.dtype[Any], memory: int) -> None:
    """Raise unless every matrix can stay in its file."""
    for name, tensor in tensors.items():
        if tensor.data.ndim > 1 and not tensor.data.flags.forc:
            raise SettingError(
                f"memory is {memory!r}, for which weights have to stay in their files, but {name} "
                "is laid out otherwise there; save the model with `npgpt convert`"
            )
        if tensor.data.ndim > 1 and tensor.dtype not in NARROW and tensor.dtype.name != dtype.name:
            raise SettingError(
                f"memory is {memory!r}, for which weights have to stay in their files, but {name} "
                f"is {tensor.dtype.name}; compute in that, or store it as {dtype.name} or float16"
            )


def _convert(
    tensors: Mapping[str, Stored], dtype: np.dtype[Any], widen: bool
) -> dict[str, npt.NDArray[Any]]:
    def converted(tensor: Stored) -> npt.NDArray[Any]:
        if not widen and tensor.dtype in NARROW and tensor.data.ndim > 1:
            return as_stored(tensor)
        floats = to_floats(tensor, dtype)
        if not np.may_share_memory(floats, tensor.data):
            release(tensor.data)
        return floats

    # What a file holds once under two names stays one array.
    arrays = {id(tensor): converted(tensor) for tensor in tensors.values()}
    return {name: arrays[id(tensor)] for name, tensor in tensors.items()}


def _warn_of_doubts(doubts: Mapping[str, str], stated: Mapping[str, Any]) -> None:
    """Warn of what the weights' files leave open, unless config.json states it."""
    for name, message in doubts.items():
        if name not in stated:
            warnings.warn(message, CheckpointWarning, stacklevel=3)


def _warn_if_not_finite(
    arrays: Mapping[str, npt.NDArray[Any]], where: str, *, release: bool
) -> None:
    bad = non_finite(arrays, release=release)
    if bad:
        warnings.warn(
            f"{where}: NaN or infinity in {', '.join(bad)}; what the model says means nothing",
            NonFiniteWarning,
            stacklevel=3,
        )
