"""Parts of activations: what interventions change."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TypeAlias

from npgpt.arrays import Array
from npgpt.config import Config
from npgpt.errors import SettingError
from npgpt.quoting import quoted
from npgpt.trace import NAMES, OUTSIDE_BLOCKS, check_place

_PARTS = {"head": "head_out", "neuron": "mlp_post"}  # of which a number is always meant
_SHORT = {**_PARTS, "attn": "attn_out", "mlp": "mlp_out"}
_NUMBER = "[0-9]{1,9}"

Index: TypeAlias = tuple["slice | int", ...]


@dataclass(frozen=True)
class Place:
    """A part of an activation: an index of each axis that is not taken whole, by the axis's name.

    Made by `place` and what stands below it, which check it.
    """

    name: str
    layer: int | None
    at: tuple[tuple[str, int], ...] = ()

    @property
    def index(self) -> Index:
        """What to index the activation by; the axes of `at` are gone from what it gives."""
        at = dict(self.at)
        return tuple(at.get(axis, slice(None)) for axis in NAMES[self.name].axes.split())

    def of(self, array: Array) -> Array:
        """This part of the whole activation, without a copy."""
        for axis, size in zip(NAMES[self.name].axes.split(), array.shape, strict=True):
            check_index(self.name, axis, dict(self.at).get(axis, 0), size)
        part: Array = array[self.index]
        return part


def place(
    config: Config,
    name: str,
    layer: int | None = None,
    *,
    head: int | None = None,
    position: int | None = None,
    neuron: int | None = None,
) -> Place:
    """A part of the activation `name` of a layer: all of it, or of one head, position or neuron.

    A position is a column of the call, so with a cache the first new token is at 0.

    Raises SettingError for an unknown name, a layer, head or neuron that the model has not, and
    where the activation has no such axis.

    >>> place(Config(), "pattern", 11, head=12)
    Traceback (most recent call last):
    npgpt.errors.SettingError: head of 'pattern' is 12; give one of 0 to 11
    """
    check_place(name, layer, config.n_layer)
    sizes = {"head": config.n_head, "query": config.n_positions, "inner": config.inner}
    given = {"head": head, "query": position, "inner": neuron}
    at = tuple((axis, index) for axis, index in given.items() if index is not None)
    axes = NAMES[name].axes.split()
    for axis, index in at:
        if axis not in axes:
            raise SettingError(
                f"{name!r} has no {_shown(axis)} to choose; its axes are {', '.join(axes)}"
            )
        check_index(name, axis, index, sizes[axis])
    return Place(name, layer, at)


def head(config: Config, layer: int, head: int, *, position: int | None = None) -> Place:
    """What a head gives, before c_proj: (batch, query, head_dim)."""
    return place(config, "head_out", layer, head=head, position=position)


def mlp(config: Config, layer: int, *, position: int | None = None) -> Place:
    """What an MLP adds to the residual stream: (batch, query, embd)."""
    return place(config, "mlp_out", layer, position=position)


def neuron(config: Config, layer: int, neuron: int, *, position: int | None = None) -> Place:
    """What a neuron of an MLP gives, after the activation function: (batch, query)."""
    return place(config, "mlp_post", layer, neuron=neuron, position=position)


def read(config: Config, text: str, *, length: int) -> Place:
    """The place that a short text names, in a run of so many positions.

    `NAME LAYER`, as in "resid_pre 3"; with a head or a neuron after a dot, "pattern 3.1"; with a
    position after an @, "mlp_out 3@5", where -1 is the last. Outside the blocks without a layer:
    "token_embedding@0". For short "head 3.1" is of head_out, "neuron 3.1" of mlp_post, "attn 3" is
    attn_out, "mlp 3" is mlp_out.

    Raises SettingError for a text that names no place of the model.

    >>> read(Config(), "head 3.1@-1", length=6)
    Place(name='head_out', layer=3, at=(('head', 1), ('query', 5)))
    """
    found = re.fullmatch(
        rf"(\w+)(?: +({_NUMBER})(?:\.({_NUMBER}))?)?(?:@(-?{_NUMBER}))?", text, re.A
    )
    if found is None:
        raise SettingError(
            f"the place {quoted(text)} cannot be read; write it as in 'head 3.1', 'mlp 4', "
            "'neuron 2.17' or 'resid_pre 0@5', which is position 5"
        )
    word = found[1]
    layer, part, position = (
        None if number is None else int(number) for number in found.group(2, 3, 4)
    )
    name = _SHORT.get(word, word)
    _check_words(text, word, name, layer, part)
    if position is not None and not -length <= position < length:
        raise SettingError(
            f"position {position} of {quoted(text)} is not one of the {length} of the text; give "
            f"0 to {length - 1}, or -{length} to -1, counted from the end"
        )
    is_neuron = "inner" in NAMES[name].axes.split()
    return place(
        config,
        name,
        layer,
        head=None if is_neuron else part,
        neuron=part if is_neuron else None,
        position=None if position is None else position % length,
    )


def _check_words(text: str, word: str, name: str, layer: int | None, part: int | None) -> None:
    if name not in NAMES:
        near = difflib.get_close_matches(word, [*_SHORT, *NAMES], n=1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"the names are {', '.join([*_SHORT, *NAMES])}"
        )
        raise SettingError(f"no part is named {quoted(word)}; {hint}")
    if layer is None and name not in OUTSIDE_BLOCKS:
        raise SettingError(f"{quoted(text)} names no layer; write it as in '{word} 0'")
    if layer is not None and name in OUTSIDE_BLOCKS:
        raise SettingError(f"{quoted(text)} names a layer, but {name!r} is of none; leave it out")
    axes = NAMES[name].axes.split()
    if part is None and word in _PARTS:
        raise SettingError(f"{quoted(text)} names no {word}; write it as in '{word} {layer}.0'")
    if part is not None and not {"head", "inner"} & {*axes}:
        raise SettingError(
            f"{quoted(text)} has a number after the dot, but {name!r} has neither heads nor "
            f"neurons; write 'head {layer}.{part}' or 'neuron {layer}.{part}', or leave it out"
        )


def check_index(name: str, axis: str, index: int, size: int) -> None:
    """Raise SettingError unless the axis of an activation has that index."""
    if type(index) is not int or not 0 <= index < size:
        raise SettingError(f"{_shown(axis)} of {name!r} is {index!r}; give one of 0 to {size - 1}")


def _shown(axis: str) -> str:
    """What messages call an index of an axis."""
    return {"query": "position", "inner": "neuron"}.get(axis, axis)
