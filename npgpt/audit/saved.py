"""Traces on disk: written as the pass goes on, read back as views of the file.

A folder of two files. trace.safetensors holds the activations, named as in `trace.label`
("resid_pre.3", "logits"). trace.json holds `format`, `version`, `dtype`, `tokens` (rows of ids),
`config` (the fields of a config.json) and `floors`: of each activation its noise floor, null where
that is infinite.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from npgpt.arrays import Array, Tokens
from npgpt.audit import invariants, noise, trace_arrays, trace_json
from npgpt.audit.trace_arrays import shape_of
from npgpt.checkpoints.configuration import config_differences
from npgpt.checkpoints.files import check_unchanged, find, identity
from npgpt.checkpoints.replace_all import replace_all
from npgpt.checkpoints.safetensors import plan_safetensors, read_safetensors
from npgpt.checkpoints.tensors import BY_NAME, to_floats
from npgpt.config import Config
from npgpt.errors import CheckpointError, SettingError
from npgpt.gpt import GPT
from npgpt.model.mapped import check_whole, mappings
from npgpt.prompt import Prompt
from npgpt.quoting import kind, listed
from npgpt.trace import (
    Key,
    Recorder,
    Selective,
    Tap,
    check_patterns,
    check_place,
    compose,
    discard,
    in_order,
    keys,
    label,
)


@dataclass(frozen=True, eq=False)
class Saved:
    """A trace that was saved: what `trace` holds, in the order of the pass, are views of its file.

    tokens (batch, query) and config are what the pass was of; floors, `audit.noise.floors` of it.
    """

    trace: Recorder
    tokens: Tokens
    config: Config
    floors: Mapping[Key, float]

    @property
    def dtype(self) -> str:
        """What the pass was computed in, float32 or float64."""
        return next(iter(self.trace.arrays.values())).dtype.name

    def check_whole(self) -> None:
        """Raise CheckpointError where somebody has cut the file short since it was opened."""
        check_whole(mappings(self.trace.arrays.values()))


def save(
    folder: str | os.PathLike[str],
    gpt: GPT,
    prompt: Prompt,
    names: str | Sequence[str] = "*",
    *,
    tap: Tap = discard,
) -> None:
    """Save the activations of one forward pass that `names` ask for, as `gpt.trace` has them.

    Each goes to the disk as it passes, so that only a layer's are in memory at a time. A second
    pass measures the noise floors (`audit.noise.floors`). The folder is made if need be; a trace in
    it is replaced, once all of the new one is there. `tap` changes both passes, as in `gpt.trace`:
    so it has to do the same in both.

    Raises as `gpt.trace` does, SettingError also for no names at all and for a tap that gives an
    array of another shape or dtype, and CheckpointError where the files cannot be written.
    """
    asked = Recorder((names,) if isinstance(names, str) else tuple(names))
    check_patterns(asked.patterns, gpt.config.n_layer)
    tokens = gpt.tokens(prompt)
    chosen = [key for key in keys(gpt.config.n_layer) if asked.wants(*key)]
    if not chosen:
        raise SettingError(f"names is {names!r}, which asks for nothing; give at least one name")

    def run(write: Tap) -> None:
        gpt.trace(tokens, (), tap=compose(tap, Selective(write, asked.wants)))

    _write(Path(folder), gpt, tokens, chosen, run, tap)


def save_recorded(
    folder: str | os.PathLike[str],
    gpt: GPT,
    prompt: Prompt,
    trace: Recorder,
    *,
    tap: Tap = discard,
) -> None:
    """`save` of what `gpt.trace(prompt, names, tap=tap)` gave, whatever names, without that pass.

    Raises as `save` does, and SettingError where the trace is not of such a pass.
    """
    tokens = gpt.tokens(prompt)
    if not trace.arrays:
        raise SettingError("the trace holds nothing; record something, and save that")
    for (name, layer), array in trace.arrays.items():
        check_place(name, layer, gpt.config.n_layer)
        _check_array(name, layer, array, gpt, tokens)

    def run(write: Tap) -> None:
        for (name, layer), array in trace.arrays.items():
            write(name, layer, array)

    _write(Path(folder), gpt, tokens, in_order(trace.arrays), run, tap)


def load(folder: str | os.PathLike[str]) -> Saved:
    """The trace in a folder that `save` wrote. Its arrays are read only when they are looked at.

    Raises CheckpointError, or ConfigError, naming the file and the place, for anything else.
    """
    home = Path(folder)
    about_path, path = find(home, trace_json.FILE), find(home, trace_arrays.FILE)
    if about_path is None or path is None:
        missing = trace_json.FILE if about_path is None else trace_arrays.FILE
        raise CheckpointError(
            f"{home}: no {missing} here; give a folder that a trace was saved in, as by "
            "npgpt.audit.saved.save"
        )
    before = identity(about_path)
    about = trace_json.read(about_path)
    arrays = trace_arrays.read(path, about)
    unlike = {label(*key) for key in arrays} ^ about.floors.keys()
    if unlike:
        raise CheckpointError(
            f"{home}: {listed(sorted(unlike))} is in one of {trace_json.FILE} and "
            f"{trace_arrays.FILE} only; take both from one place"
        )
    check_unchanged(about_path, before)
    ordered = in_order(arrays)
    recorder = Recorder(
        tuple(label(*key) for key in ordered), {key: arrays[key] for key in ordered}
    )
    floors = {key: about.floors[label(*key)] for key in ordered}
    return Saved(recorder, about.tokens, about.config, floors)


def verify(saved: Saved, gpt: GPT) -> dict[Key, float]:
    """Whether a saved trace is of this model: `invariants.from_tokens` of it, above 1 is wrong.

    A trace of a changed pass (`tap`) is wrong where it was changed.

    Raises CheckpointError where the config or the dtype is not the model's, naming both, and
    SettingError where not all activations were saved.
    """
    saved.check_whole()
    unlike = differences_of_pass(saved.config, gpt.config)
    if unlike:
        said = "; ".join(f"{n} is {kind(a)} in the trace and {kind(b)} in the model"
                         for n, a, b in unlike)  # fmt: skip
        raise CheckpointError(f"{said}; give the model that the trace is of")
    computed = gpt.parameters.dtype.name
    if saved.dtype != computed:
        raise CheckpointError(
            f"the trace was computed in {saved.dtype} and the model computes in {computed}; load "
            f"it with dtype={saved.dtype!r}"
        )
    return invariants.from_tokens(saved.trace, saved.tokens, gpt.parameters, gpt.config)


def differences_of_pass(one: Config, other: Config) -> list[tuple[str, Any, Any]]:
    """`configuration.differences` without ids of special tokens, on which no pass depends.

    >>> differences_of_pass(Config(bos_token_id=1), Config(bos_token_id=2, n_layer=6))
    [('n_layer', 12, 6)]
    """
    return [each for each in config_differences(one, other) if not each[0].endswith("_token_id")]


def _check_array(name: str, layer: int | None, array: Array, gpt: GPT, tokens: Tokens) -> None:
    expected = shape_of(name, gpt.config, tokens), gpt.parameters.dtype
    if (array.shape, array.dtype) != expected:
        raise SettingError(
            f"{name!r} of layer {layer!r} is {array.dtype} of shape {array.shape}; the model and "
            f"the prompt make it {expected[1]} of shape {expected[0]}: give the ones that it was "
            "recorded of, and a tap that keeps both"
        )


def _write(
    home: Path,
    gpt: GPT,
    tokens: Tokens,
    chosen: Sequence[Key],
    run: Callable[[Tap], None],
    tap: Tap,
) -> None:
    dtype = gpt.parameters.dtype.name
    shapes = {label(*key): shape_of(key[0], gpt.config, tokens) for key in chosen}
    # Known to be short enough before any pass: no number is written longer than this one.
    longest = dict.fromkeys(shapes, sys.float_info.max)
    trace_json.to_text(trace_json.About(dtype, tokens, gpt.config, longest))
    begin, starts = plan_safetensors({n: (BY_NAME[dtype], s) for n, s in shapes.items()})
    try:
        home.mkdir(parents=True, exist_ok=True)
        with replace_all(home, key=trace_json.FILE) as draft:
            with (draft / trace_arrays.FILE).open("wb") as file:
                file.write(begin)

                def write(name: str, layer: int | None, array: Array) -> Array:
                    _check_array(name, layer, array, gpt, tokens)
                    file.seek(starts[label(name, layer)])
                    file.write(np.require(array, BY_NAME[dtype].bits, "C").data)
                    return array

                run(write)
            floors = _floors(draft / trace_arrays.FILE, chosen, gpt, tokens, tap)
            about = trace_json.About(dtype, tokens, gpt.config, floors)
            (draft / trace_json.FILE).write_bytes(trace_json.to_text(about))
    except OSError as error:
        raise CheckpointError(f"{home}: cannot be written ({error.strerror})") from error


def _floors(
    path: Path, chosen: Iterable[Key], gpt: GPT, tokens: Tokens, tap: Tap
) -> dict[str, float]:
    stored = read_safetensors(path)
    arrays = {key: to_floats(stored[label(*key)], gpt.parameters.dtype) for key in chosen}
    found = noise.floors(arrays, tokens, gpt.parameters, gpt.config, tap=tap)
    return {label(*key): found[key] for key in arrays}
