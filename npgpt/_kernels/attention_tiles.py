"""Attention tiles: the scores that are computed at a time, and stay in a core's own cache."""

from typing import NamedTuple

import numpy as np

from npgpt._arrays import Mask
from npgpt._kernels.thresholds import (
    ATTENTION_TILE_QUERIES,
    ATTENTION_TILE_SCORES,
    ATTENTION_UNTILED_SCORES,
)
from npgpt._kernels.tiles import slices


class Tile(NamedTuple):
    """Some rows, heads and queries, and the first `end` keys: all that any of the queries sees.

    The first `unmasked` keys are visible to every one of the queries.
    """

    rows: slice
    heads: slice
    queries: slice
    unmasked: int
    end: int

    @property
    def place(self) -> tuple[slice, slice, slice, slice]:
        """Where the tile lies in an array (batch, head, query, key)."""
        return self.rows, self.heads, self.queries, slice(self.end)


def tiles_of(mask: Mask, shape: tuple[int, int, int, int], *, prefix: int = 0) -> list[Tile]:
    """The tiles of scores of a shape (batch, head, query, key) that hold every visible key.

    mask: True where a key is visible, broadcastable to the shape. Each tile has the first `prefix`
    keys, whether they are visible or not.

    >>> mask = np.tri(1024, dtype=bool)
    >>> tiles = tiles_of(mask, (1, 4, 1024, 1024))
    >>> [(tile.queries.start, tile.end) for tile in tiles[:3]]
    [(0, 64), (64, 128), (128, 192)]
    """
    batch, head, query, key = shape
    if batch * head * query * key <= ATTENTION_UNTILED_SCORES:
        unmasked = key if mask.all() else 0
        return [Tile(slice(0, batch), slice(0, head), slice(0, query), unmasked, key)]
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    heads_at_once = ATTENTION_TILE_SCORES // (min(query, ATTENTION_TILE_QUERIES) * key)
    head_slices = slices(head, max(heads_at_once, 1))
    tiles = []
    for row in range(batch):
        mask_of_row = mask[row if len(mask) > 1 else 0]
        for queries in slices(query, ATTENTION_TILE_QUERIES):
            visible = mask_of_row[:, queries] if mask_of_row.shape[1] > 1 else mask_of_row
            hidden_keys = np.flatnonzero(~visible.all(axis=(0, 1)))
            visible_keys = np.flatnonzero(visible.any(axis=(0, 1)))
            end = max(int(visible_keys[-1]) + 1 if len(visible_keys) else 0, prefix)
            unmasked = min(int(hidden_keys[0]), end) if len(hidden_keys) else end
            rows = slice(row, row + 1)
            tiles += [Tile(rows, heads, queries, unmasked, end) for heads in head_slices]
    return tiles
