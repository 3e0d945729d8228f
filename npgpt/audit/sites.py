"""Sites (hook points): the parts of activations that are read, changed and named.

One part has one name, which tables, JSON and the page print and `--at` and `parse` read:

    resid_pre 3     an activation of `npgpt.trace.NAMES`, and its layer
    logits          one outside the layers
    head 3.1        what head 1 of layer 3 gives, before c_proj: a part of head_out
    neuron 3.17     neuron 17 of layer 3, after the activation function: a part of mlp_post
    pattern 3.1     one head of another activation
    attn_bias 3     the bias of c_proj in attention: attn_out 3 is what its heads give, and this
    mlp_bias 3      the bias of c_proj in the MLP: mlp_out 3 is what mlp_post 3 gives, and this
    ln_f_bias       the bias of the final layer norm
    mlp_out 3@5     any of them at one position

`parse` reads also `attn 3` and `mlp 3`, for short, as attn_out and mlp_out.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TypeAlias

from npgpt._arrays import Array
from npgpt._config import Config
from npgpt._quoting import quoted
from npgpt.errors import SettingError
from npgpt.trace import NAMES, OUTSIDE_BLOCKS, check_place

__all__ = ["BIASES", "Site", "head", "mlp", "neuron", "parse", "site"]

# The activations that end with the sum of a bias, by the bias's name.
BIASES = {"attn_bias": "attn_out", "mlp_bias": "mlp_out", "ln_f_bias": "ln_f"}
_PARTS = {"head": "head_out", "neuron": "mlp_post"}  # of which a number is always meant
_SHORT = {**_PARTS, "attn": "attn_out", "mlp": "mlp_out"}
_PART_OF = {activation: short for short, activation in _PARTS.items()}
_NUMBER = "[0-9]{1,9}"

Index: TypeAlias = tuple["slice | int", ...]


@dataclass(frozen=True)
class Site:
    """A part of an activation: an index of each axis that is not taken whole, by the axis's name.

    Made by `site` and what stands below it, which check it. name is one of `trace.NAMES` or of
    `BIASES`. `str` of it is the part's one name, which `parse` reads.

    >>> str(Site("head_out", 3, (("head", 1), ("query", 5))))
    'head 3.1@5'
    """

    name: str
    layer: int | None
    at: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        at = dict(self.at)
        number = at.get("head", at.get("inner"))
        name = self.name if number is None else _PART_OF.get(self.name, self.name)
        layer = "" if self.layer is None else f" {self.layer}"
        part = "" if number is None else f".{number}"
        position = f"@{at['query']}" if "query" in at else ""
        return name + layer + part + position

    @property
    def activation(self) -> str:
        """The activation that this is a part of: a bias is one of what it is added to."""
        return BIASES.get(self.name, self.name)

    @property
    def index(self) -> Index:
        """What to index the activation by; the axes of `at` are gone from what it gives."""
        at = dict(self.at)
        return tuple(at.get(axis, slice(None)) for axis in NAMES[self.activation].axes.split())

    def of(self, array: Array) -> Array:
        """This part of the whole activation, without a copy."""
        for axis, size in zip(NAMES[self.activation].axes.split(), array.shape, strict=True):
            check_index(self.name, axis, dict(self.at).get(axis, 0), size)
        part: Array = array[self.index]
        return part


def site(
    config: Config,
    name: str,
    layer: int | None = None,
    *,
    head: int | None = None,
    position: int | None = None,
    neuron: int | None = None,
) -> Site:
    """A part of the activation `name` of a layer: all of it, or of one head, position or neuron.

    A position is a column of the call, so with a cache the first new token is at 0.

    Raises SettingError for an unknown name, a layer, head or neuron that the model has not, and
    where the activation has no such axis.

    >>> site(Config(), "pattern", 11, head=12)
    Traceback (most recent call last):
    npgpt.errors.SettingError: head of 'pattern' is 12; give one of 0 to 11
    """
    activation = BIASES.get(name, name)
    check_place(activation, layer, config.n_layer)
    sizes = {"head": config.n_head, "query": config.n_positions, "inner": config.inner}
    given = {"head": head, "query": position, "inner": neuron}
    at = tuple((axis, index) for axis, index in given.items() if index is not None)
    axes = NAMES[activation].axes.split()
    for axis, index in at:
        if axis not in axes:
            raise SettingError(
                f"{name!r} has no {_shown(axis)} to choose; its axes are {', '.join(axes)}"
            )
        check_index(name, axis, index, sizes[axis])
    return Site(name, layer, at)


def head(config: Config, layer: int, head: int, *, position: int | None = None) -> Site:
    """What a head gives, before c_proj: (batch, query, head_dim)."""
    return site(config, "head_out", layer, head=head, position=position)


def mlp(config: Config, layer: int, *, position: int | None = None) -> Site:
    """What an MLP adds to the residual stream: (batch, query, embd)."""
    return site(config, "mlp_out", layer, position=position)


def neuron(config: Config, layer: int, neuron: int, *, position: int | None = None) -> Site:
    """What a neuron of an MLP gives, after the activation function: (batch, query)."""
    return site(config, "mlp_post", layer, neuron=neuron, position=position)


def parse(config: Config, text: str, *, length: int | None = None) -> Site:
    """The site that a name stands for, in a run of so many positions (default: n_positions).

    The names are at the top of this file. Also the labels of a trace are read, where a dot stands
    in place of the space ("resid_pre.3"), and a position may be counted from the end: -1 is the
    last. `parse(config, str(site)) == site`.

    Raises SettingError for a text that names no part of the model.

    >>> parse(Config(), "head 3.1@-1", length=6)
    Site(name='head_out', layer=3, at=(('head', 1), ('query', 5)))
    """
    length = config.n_positions if length is None else length
    match = re.fullmatch(
        rf"(\w+)(?:(?: +|\.)({_NUMBER})(?:\.({_NUMBER}))?)?(?:@(-?{_NUMBER}))?", text, re.A
    )
    if match is None:
        raise SettingError(
            f"the place {quoted(text)} cannot be read; write it as in 'head 3.1', 'mlp 4', "
            "'neuron 2.17' or 'resid_pre 0@5', which is position 5"
        )
    word = match[1]
    layer, part, position = (
        None if number is None else int(number) for number in match.group(2, 3, 4)
    )
    name = _SHORT.get(word, word)
    _check_words(text, word, name, layer, part)
    if position is not None and not -length <= position < length:
        raise SettingError(
            f"position {position} of {quoted(text)} is not one of the {length} of the text; give "
            f"0 to {length - 1}, or -{length} to -1, counted from the end"
        )
    is_neuron = "inner" in NAMES[BIASES.get(name, name)].axes.split()
    return site(
        config,
        name,
        layer,
        head=None if is_neuron else part,
        neuron=part if is_neuron else None,
        position=None if position is None else position % length,
    )


def _check_words(text: str, word: str, name: str, layer: int | None, part: int | None) -> None:
    activation = BIASES.get(name, name)
    if activation not in NAMES:
        names = [*_SHORT, *BIASES, *NAMES]
        near = difflib.get_close_matches(word, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(names)}"
        raise SettingError(f"no part is named {quoted(word)}; {hint}")
    if layer is None and activation not in OUTSIDE_BLOCKS:
        raise SettingError(f"{quoted(text)} names no layer; write it as in '{word} 0'")
    if layer is not None and activation in OUTSIDE_BLOCKS:
        raise SettingError(f"{quoted(text)} names a layer, but {name!r} is of none; leave it out")
    if part is None and word in _PARTS:
        raise SettingError(f"{quoted(text)} names no {word}; write it as in '{word} {layer}.0'")
    axes = NAMES[activation].axes.split()
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
