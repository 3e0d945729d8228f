"""The keys and values of the positions that a model has already read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from npgpt.arrays import Array, Mask
from npgpt.config import Config


@dataclass
class _Store:
    """Room for more positions than are filled, so that appending seldom copies.

    keys and values: (layer, batch, head, capacity, head_dim); real: (batch, capacity).
    """

    keys: Array
    values: Array
    real: Mask
    filled: int

    def with_room(self, length: int, more: int) -> _Store:
        """This store, if `more` positions can follow the first `length`; else a roomier copy.

        A store filled past `length` already belongs to another continuation: it is copied too.
        """
        if self.filled == length and length + more <= self.real.shape[1]:
            return self
        capacity = max(2 * length, length + more)

        def grown(old: Array, axis: int) -> Array:
            shape = (*old.shape[:axis], capacity, *old.shape[axis + 1 :])
            new = np.empty(shape, old.dtype)
            kept = (slice(None),) * axis + (slice(length),)
            new[kept] = old[kept]
            return new

        real = np.zeros((len(self.real), capacity), dtype=bool)
        real[:, :length] = self.real[:, :length]
        return _Store(grown(self.keys, 3), grown(self.values, 3), real, length)


@dataclass(frozen=True)
class Cache:
    """What attention needs of the past: a value, never changed by a forward pass.

    Two continuations of one cache do not disturb each other. Going on from the newest one writes
    into room kept for it; the room doubles when it runs out, so that n steps copy O(n) in all.
    """

    _store: _Store
    length: int

    @property
    def real(self) -> Mask:
        """(batch, length): which of the positions held are tokens, not padding."""
        return self._store.real[:, : self.length]

    def layer(self, index: int) -> tuple[Array, Array]:
        """Keys and values of one layer: (batch, head, length, head_dim) each, without a copy."""
        held = slice(self.length)
        return self._store.keys[index, :, :, held], self._store.values[index, :, :, held]

    def extend(self, mask: Mask) -> Cache:
        """A cache with the positions of mask (batch, query) added, keys and values still to fill.

        The caller fills them through `write`, once for each layer.
        """
        store = self._store.with_room(self.length, mask.shape[1])
        length = self.length + mask.shape[1]
        store.real[:, self.length : length] = mask
        store.filled = length
        return Cache(store, length)

    def write(self, index: int, key: Array, value: Array) -> None:
        """Fill the last positions of one layer: key and value (batch, head, query, head_dim)."""
        new = slice(self.length - key.shape[2], self.length)
        self._store.keys[index, :, :, new] = key
        self._store.values[index, :, :, new] = value

    def select(self, rows: Sequence[int]) -> Cache:
        """The cache of these rows of the batch: fewer, reordered or repeated, as a copy."""
        chosen, held = list(rows), slice(self.length)
        keys = self._store.keys[:, :, :, held][:, chosen]
        values = self._store.values[:, :, :, held][:, chosen]
        return Cache(_Store(keys, values, self.real[chosen], self.length), self.length)


def empty(config: Config, batch: int, dtype: npt.DTypeLike) -> Cache:
    """The cache of a model that has read nothing."""
    nothing = np.empty((config.n_layer, batch, config.n_head, 0, config.head_dim), dtype)
    return Cache(_Store(nothing, nothing, np.empty((batch, 0), dtype=bool), 0), 0)
