"""trace.json, the metadata of a saved trace: tokens, config, each activation's noise floor."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from npgpt._arrays import Tokens
from npgpt._config import Config, from_json, to_json
from npgpt._quoting import kind, listed, quoted
from npgpt.checkpoints._files import JSON_LIMIT, parse_json_object, read_bytes
from npgpt.errors import CheckpointError, ConfigError

FILE = "trace.json"
DTYPES = ("float32", "float64")
_FORMAT, _VERSION = "npgpt trace", 1
_FIELDS = ("format", "version", "dtype", "tokens", "config", "floors")
_MOST_IDS = 2**31  # more than any vocabulary has, and what an array of whole numbers holds


class About(NamedTuple):
    """floors are by label (`trace.label`)."""

    dtype: str
    tokens: Tokens
    config: Config
    floors: dict[str, float]


def to_text(about: About) -> bytes:
    """The text of trace.json. Raises CheckpointError where `read` would refuse its length."""
    fields = {
        "format": _FORMAT,
        "version": _VERSION,
        "dtype": about.dtype,
        "tokens": about.tokens.tolist(),
        "config": to_json(about.config),
        "floors": {n: x if math.isfinite(x) else None for n, x in about.floors.items()},
    }
    text = json.dumps(fields).encode() + b"\n"
    if len(text) > JSON_LIMIT:
        raise CheckpointError(
            f"{about.tokens.size} tokens make {FILE} {len(text)} bytes long; a trace that is saved "
            f"has at most {JSON_LIMIT}: give fewer tokens"
        )
    return text


def read(path: Path) -> About:
    """What a trace.json says.

    Raises CheckpointError, naming file and place, unless it is of this version and makes sense,
    and ConfigError where its config is no GPT-2's.
    """
    fields = parse_json_object(read_bytes(path, JSON_LIMIT), str(path))
    form, version = fields.get("format"), fields.get("version")
    if form != _FORMAT or type(version) is not int or version != _VERSION:
        raise CheckpointError(
            f"{path}: format is {kind(form)} and version {kind(version)}; "
            f"this npgpt reads {_FORMAT!r} of version {_VERSION}"
        )
    if sorted(fields) != sorted(_FIELDS):
        raise CheckpointError(
            f"{path}: the fields are {listed(sorted(fields))}; expected {', '.join(_FIELDS)}"
        )
    if fields["dtype"] not in DTYPES:
        raise CheckpointError(f"{path}: dtype is {kind(fields['dtype'])}; a trace is float32 or 64")
    try:
        config = from_json(fields["config"])
    except ConfigError as error:
        raise ConfigError(f"{path}: config: {error}") from error
    tokens = _tokens(fields["tokens"], config, f"{path}: tokens")
    return About(fields["dtype"], tokens, config, _floors(fields["floors"], f"{path}: floors"))


def _tokens(rows: Any, config: Config, where: str) -> Tokens:
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise CheckpointError(f"{where}: {kind(rows)}; expected a list of rows of ids")
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1 or not 1 <= lengths[0] <= config.n_positions:
        raise CheckpointError(
            f"{where}: rows of {lengths[0]} to {lengths[-1]} ids; expected rows of one length, 1 "
            f"to n_positions = {config.n_positions}"
        )
    vocab = min(config.vocab_size, _MOST_IDS)
    for row in rows:
        for token in row:
            if type(token) is not int or not 0 <= token < vocab:
                raise CheckpointError(f"{where}: {kind(token)}; expected ids of 0 to {vocab - 1}")
    return np.array(rows)


def _floors(floors: Any, where: str) -> dict[str, float]:
    if not isinstance(floors, Mapping) or not floors:
        raise CheckpointError(f"{where}: {kind(floors)}; expected an object of at least one number")
    for name, floor in floors.items():
        if floor is not None and (type(floor) not in (int, float) or floor < 0):
            raise CheckpointError(
                f"{where}: {quoted(name)} is {kind(floor)}; expected a number, 0 or more, or null"
            )
    return {name: math.inf if floor is None else float(floor) for name, floor in floors.items()}
