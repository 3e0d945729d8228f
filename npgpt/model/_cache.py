"""The key-value cache: the keys and values of the positions that a model has already read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, Mask
from npgpt._config import Config
from npgpt._kernels.attention import SharedPrefix
from npgpt._kernels.layout import padded_stride
from npgpt.errors import SettingError


@dataclass
class _Buffer:
    """Room for more positions than are filled, so that appending seldom copies.

    values: (layer, batch, head, capacity, head_dim); keys: (layer, batch, head, head_dim,
    capacity), the layout of the product that they go into.
    """

    keys: Array
    values: Array
    filled: int

    def copy(self, rows: Sequence[int], length: int, more: int) -> _Buffer:
        """The first `length` positions of these rows, with room for as many again, and `more`."""
        layers, _, heads, width, _ = self.keys.shape
        capacity = padded_stride(max(2 * length, length + more))
        keys = np.empty((layers, len(rows), heads, width, capacity), self.keys.dtype)
        values = np.empty((layers, len(rows), heads, capacity, width), self.values.dtype)
        for index, row in enumerate(rows):
            keys[:, index, ..., :length] = self.keys[:, row, ..., :length]
            values[:, index, :, :length] = self.values[:, row, :, :length]
        return _Buffer(keys, values, length)


@dataclass(frozen=True, eq=False)
class Cache:
    """What attention needs of the past: a value, never changed by a forward pass.

    Going on from the newest cache writes into room kept for it; the room doubles when it runs out,
    so that n steps copy O(n) in all. What is held before rows are repeated, or tokens dropped, is
    never copied: from then on the branches share it, and have buffers of their own for what comes
    after. This happens once, so it is the prompt that beams share, and later branches copy only
    what came after it.

    real: (batch, length), which of the positions held are tokens, not padding.
    """

    real: Mask
    _own: _Buffer  # the last positions, or all of them
    _shared: SharedPrefix | None = None  # the first ones; an axis of layers in front

    def __repr__(self) -> str:
        return f"Cache({len(self.real)} rows, {self.length} positions)"

    @property
    def length(self) -> int:
        """How many positions are held in each row, padding included."""
        length: int = self.real.shape[1]
        return length

    @property
    def _own_length(self) -> int:
        return self.length - (0 if self._shared is None else self._shared.length)

    def layer(self, index: int) -> tuple[Array, Array, SharedPrefix | None]:
        """Keys and values of one layer, without a copy: (batch, head, own, head_dim) each.

        The third is what comes before them, shared by several rows, if anything is.
        """
        own, shared = slice(self._own_length), self._shared
        if shared is not None:
            shared = SharedPrefix(shared.key[index], shared.value[index], shared.source)
        keys = self._own.keys[index, ..., own].swapaxes(-1, -2)
        return keys, self._own.values[index, :, :, own], shared

    def extend(self, mask: Mask) -> Cache:
        """A cache with the positions of mask (batch, query) added, keys and values still to fill.

        The caller fills them through `write`, once for each layer.
        """
        own, length, new = self._own, self._own_length, mask.shape[1]
        # A buffer filled past our length already belongs to another continuation.
        if own.filled > length or length + new > own.keys.shape[-1]:
            own = own.copy(range(len(mask)), length, new)
        own.filled = length + new
        return Cache(np.concatenate([self.real, mask], axis=1), own, self._shared)

    def write(self, index: int, key: Array, value: Array) -> None:
        """Fill the last positions of one layer: key and value (batch, head, query, head_dim)."""
        new = slice(self._own_length - key.shape[2], self._own_length)
        self._own.keys[index, ..., new] = key.swapaxes(-1, -2)
        self._own.values[index, :, :, new] = value

    def select(self, rows: Sequence[int]) -> Cache:
        """The cache of these rows of the batch: fewer, reordered or repeated."""
        rows = list(rows)
        if rows == list(range(len(self.real))):
            return self
        if self._shared is None and self.length and len(set(rows)) < len(rows):
            return self._branch().select(rows)
        shared = self._shared
        if shared is not None:
            shared = shared._replace(source=shared.source[rows])
        return Cache(self.real[rows], self._own.copy(rows, self._own_length, 1), shared)

    def rewind(self, counts: Sequence[int]) -> Cache:
        """The cache as if the last counts[r] tokens of row r had not been read.

        Padding is not counted. Where rows drop different numbers, the positions dropped become
        padding; the last positions go altogether once they are padding in every row.

        Raises SettingError unless counts holds, for each row, 0 to the number of its tokens.
        """
        read, given = self.real.sum(axis=1), np.asarray(counts)
        fits = given.shape == read.shape and given.dtype.kind in "iu"
        if not fits or ((given < 0) | (given > read)).any():
            raise SettingError(
                f"{given.tolist()} tokens cannot be dropped; give a number for each row, "
                f"none below 0 or above the tokens read, {read.tolist()}"
            )
        real = self.real & (self.real.cumsum(axis=1) <= (read - given)[:, None])
        length = int(real.any(axis=0).nonzero()[0].max(initial=-1)) + 1
        shared = self._shared.first(length) if self._shared is not None and length else None
        kept = Cache(real[:, :length], self._own, shared)
        return kept._branch() if shared is None and 0 < length < self.length else kept

    def _branch(self) -> Cache:
        """The same positions, all of them shared: for a cache that shares nothing yet."""
        rows, held = np.arange(len(self.real)), slice(self.length)
        keys = self._own.keys[..., held].swapaxes(-1, -2)
        values = self._own.values[:, :, :, held]
        own = self._own.copy(range(len(rows)), 0, 1)
        return Cache(self.real, own, SharedPrefix(keys, values, rows))


def empty_cache(config: Config, batch: int, dtype: npt.DTypeLike) -> Cache:
    """The cache of a model that has read nothing."""
    rows = (config.n_layer, batch, config.n_head)
    keys = np.empty((*rows, config.head_dim, 0), dtype)
    return Cache(np.empty((batch, 0), dtype=bool), _Buffer(keys, keys.swapaxes(-1, -2), 0))
