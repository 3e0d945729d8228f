"""Saving a trace: each activation goes to the disk as the forward pass goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from npgpt._arrays import Array, Tokens
from npgpt._gpt import GPT
from npgpt._prompt import Prompt
from npgpt.audit import _noise_floor as noise_floor
from npgpt.audit.saved import _arrays as arrays_file
from npgpt.audit.saved import _metadata as metadata
from npgpt.audit.saved._arrays import shape_of
from npgpt.checkpoints._replace_all import replace_all
from npgpt.checkpoints._safetensors import plan_safetensors, read_safetensors
from npgpt.checkpoints._tensors import BY_NAME, to_floats
from npgpt.errors import CheckpointError, SettingError
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
    pass measures the noise floors (`noise_floors`). The folder is made if need be; a trace in
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
    metadata.to_text(metadata.About(dtype, tokens, gpt.config, longest))
    begin, starts = plan_safetensors({n: (BY_NAME[dtype], s) for n, s in shapes.items()})
    try:
        home.mkdir(parents=True, exist_ok=True)
        with replace_all(home, key=metadata.FILE) as draft:
            with (draft / arrays_file.FILE).open("wb") as file:
                file.write(begin)

                def write(name: str, layer: int | None, array: Array) -> Array:
                    _check_array(name, layer, array, gpt, tokens)
                    file.seek(starts[label(name, layer)])
                    file.write(np.require(array, BY_NAME[dtype].bits, "C").data)
                    return array

                run(write)
            floors = _floors(draft / arrays_file.FILE, chosen, gpt, tokens, tap)
            about = metadata.About(dtype, tokens, gpt.config, floors)
            (draft / metadata.FILE).write_bytes(metadata.to_text(about))
    except OSError as error:
        raise CheckpointError(f"{home}: cannot be written ({error.strerror})") from error


def _floors(
    path: Path, chosen: Iterable[Key], gpt: GPT, tokens: Tokens, tap: Tap
) -> dict[str, float]:
    stored = read_safetensors(path)
    arrays = {key: to_floats(stored[label(*key)], gpt.parameters.dtype) for key in chosen}
    floors = noise_floor.noise_floors(arrays, tokens, gpt.parameters, gpt.config, tap=tap)
    return {label(*key): floors[key] for key in arrays}
