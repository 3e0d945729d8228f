"""Engines in Python that load a checkpoint's file: a Subject of a function that opens one.

Such engines cannot be handed weights in a call; so each model that the judge draws is written as a
file, and opened from it. What `load(path)` gives is an object or a dict with some of CALLS:

    logits(tokens): (batch, query, vocab) of ids (batch, query), none of them padding
    step(tokens, cache): the same for new tokens after all that cache has read, and the next cache;
        None at first
    log_probabilities(tokens): (batch, query - 1), of each token after those before it
    generate(prompts, settings): rows of ids, the prompt included; settings are max_new_tokens and,
        where do_sample is true, temperature and top_k
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from oracle.adapters.claims import Claims
from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array
from oracle.checkpoints import Format, format_named, write

CALLS = ("logits", "step", "log_probabilities", "generate")
MODELS_KEPT = 4


@dataclass(frozen=True)
class FileEngine(Subject):
    """A subject whose models are files. opened(path): what `load` gives, by name.

    format: of `checkpoints.FORMATS`, that of the files it opens.
    """

    format: str = "safetensors"
    opened: Callable[[Path], Mapping[str, Callable[..., Any]]] = lambda path: {}


def loads_files(
    format: str,
    load: Callable[[Path], Any],
    *,
    name: str,
    dtype: str = "float32",
    claims: Claims | None = None,
    steps: bool = False,
) -> FileEngine:
    """The subject that an engine is which opens files of a format of `checkpoints.FORMATS`.

    steps: whether what load gives has `step`. claims: what the engine can do beyond its format's
    limits; it is given rows without padding in any case.
    """
    row = format_named(format)
    shelf = _Opened(row, load, dtype)

    def logits(config: Any, weights: Any, tokens: Array, mask: Array | None) -> Any:
        return shelf.model(config, weights)["logits"](_unpadded(tokens, mask))

    def step(config: Any, weights: Any, tokens: Array, mask: Array | None, cache: Any) -> Any:
        return shelf.model(config, weights)["step"](_unpadded(tokens, mask), cache)

    return FileEngine(
        name,
        dtype,
        logits=logits,
        step=step if steps else None,
        claims=claims_of(row, claims or Claims()),
        format=format,
        opened=lambda path: functions_of(load(path)),
    )


def claims_of(row: Format, claims: Claims) -> Claims:
    """The claims, less what no file of the format holds, and without padding.

    >>> claims_of(format_named("llmc"), Claims()).left_out()[:2]
    ('activation functions gelu, relu, silu, swish', 'switches n_inner, scale_attn_weights, ...')
    """
    only = row.only
    flags = [name for name in ("n_inner", "reorder_and_upcast_attn") if name not in only]
    tied = only.get("tie_word_embeddings")
    limits: dict[str, Any] = {
        "activation_functions": only.get("activation_function"),
        "flags": flags if "scale_attn_weights" in only else None,
        "epsilons": only.get("layer_norm_epsilon"),
        "heads": ["tied"] if tied == (True,) else None,
    }
    kept: dict[str, Any] = {}
    for name, limit in limits.items():
        given = getattr(claims, name)
        if limit is None or given is None:
            kept[name] = given if limit is None else limit
        else:
            kept[name] = [value for value in limit if value in given]
    return replace(claims, padding="none", mask=False, **kept)


def functions_of(model: Any) -> dict[str, Callable[..., Any]]:
    """Those of CALLS that an object or a dict has."""
    named = model if isinstance(model, Mapping) else {n: getattr(model, n, None) for n in CALLS}
    offered: dict[str, Any] = {name: named.get(name) for name in CALLS}
    return {name: call for name, call in offered.items() if callable(call)}


class _Opened:
    """Models, each written as a file and opened once; the last few are kept."""

    def __init__(self, row: Format, load: Callable[[Path], Any], dtype: str) -> None:
        self.row = row
        self.load = load
        self.stored = "float16" if dtype == "float16" and dtype in row.dtypes else "float32"
        self.models: dict[bytes, dict[str, Callable[..., Any]]] = {}

    def model(self, config: Mapping[str, Any], weights: Mapping[str, Array]) -> Any:
        key = digest(config, weights)
        if key not in self.models:
            if why := self.row.cannot_hold(config):
                raise NotImplementedError(why)
            if len(self.models) >= MODELS_KEPT:
                del self.models[next(iter(self.models))]
            # The file goes once it is opened: engines map it or have read it.
            with tempfile.TemporaryDirectory(prefix="gpt2-judge-") as folder:
                path = Path(folder) / f"model{self.row.suffix}"
                write(path, config, weights, format=self.row.name, dtype=self.stored)
                self.models[key] = functions_of(self.load(path))
        return self.models[key]


def digest(config: Mapping[str, Any], weights: Mapping[str, Array]) -> bytes:
    """A key for a model: other numbers, names or fields have another."""
    hashed = hashlib.blake2b(repr(sorted(config.items())).encode())
    for name, array in sorted(weights.items()):
        hashed.update(f"{name} {array.dtype} {array.shape} ".encode())
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.digest()


def _unpadded(tokens: Array, mask: Array | None) -> Array:
    if mask is not None and not mask.all():
        raise NotImplementedError("padding: an engine on a file is given whole rows")
    return tokens
