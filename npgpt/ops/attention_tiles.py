"""What attention computes at a time: a tile of scores that stays in a core's own cache."""

from typing import NamedTuple

import numpy as np

from npgpt.arrays import Mask
from npgpt.ops.tiles import parts

QUERIES = 64  # of a tile, at most
CACHED = 1 << 18  # scores of a tile, at most, but for a row of them
ALONE = 1 << 17  # scores that are sooner computed together than shared out


class Tile(NamedTuple):
    """Some rows, heads and queries, and the first `end` keys: all that any of the queries may see.

    Each of the queries may look at each of the first `open` keys.
    """

    rows: slice
    heads: slice
    queries: slice
    open: int
    end: int

    @property
    def place(self) -> tuple[slice, slice, slice, slice]:
        """Where the tile lies in an array (batch, head, query, key)."""
        return self.rows, self.heads, self.queries, slice(self.end)


def tiles_of(mask: Mask, shape: tuple[int, int, int, int], *, before: int = 0) -> list[Tile]:
    """The tiles of scores of a shape (batch, head, query, key) that hold all that may be seen.

    mask: True where a query may look, broadcastable to the shape. Each tile has the first `before`
    keys, whether they may be seen or not.

    >>> mask = np.tri(1024, dtype=bool)
    >>> tiles = tiles_of(mask, (1, 4, 1024, 1024))
    >>> [(tile.queries.start, tile.end) for tile in tiles[:3]]
    [(0, 64), (64, 128), (128, 192)]
    """
    batch, head, query, key = shape
    if batch * head * query * key <= ALONE:
        all_open = key if mask.all() else 0
        return [Tile(slice(0, batch), slice(0, head), slice(0, query), all_open, key)]
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    heads = parts(head, max(CACHED // (min(query, QUERIES) * key), 1))
    found = []
    for row in range(batch):
        of_row = mask[row if len(mask) > 1 else 0]
        for queries in parts(query, QUERIES):
            seen = of_row[:, queries] if of_row.shape[1] > 1 else of_row
            closed = np.flatnonzero(~seen.all(axis=(0, 1)))
            some = np.flatnonzero(seen.any(axis=(0, 1)))
            end = max(int(some[-1]) + 1 if len(some) else 0, before)
            all_open = min(int(closed[0]), end) if len(closed) else end
            found += [Tile(slice(row, row + 1), part, queries, all_open, end) for part in heads]
    return found
