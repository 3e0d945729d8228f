"""Parts of activations: what interventions change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from npgpt.arrays import Array
from npgpt.config import Config
from npgpt.errors import SettingError
from npgpt.trace import NAMES, check_place

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
            raise SettingError(f"{name!r} has no axis {axis!r}; its axes are {', '.join(axes)}")
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


def check_index(name: str, axis: str, index: int, size: int) -> None:
    """Raise SettingError unless the axis of an activation has that index."""
    if type(index) is not int or not 0 <= index < size:
        shown = {"query": "position", "inner": "neuron"}.get(axis, axis)
        raise SettingError(f"{shown} of {name!r} is {index!r}; give one of 0 to {size - 1}")
