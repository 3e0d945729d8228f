"""Attention in tiles, in several threads, over keys of which rows may share a prefix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, Mask, quiet
from npgpt._kernels.attention_tiles import Tile, tiles_of
from npgpt._kernels.skinny_gemm import blocked_matmul
from npgpt._kernels.threads import parallel_for
from npgpt.ops._softmax import softmax
from npgpt.trace import Tap, discard, wants


class SharedPrefix(NamedTuple):
    """Keys and values of the first positions, held once for all rows that begin with them.

    key and value (prefix, head, length, head_dim); source (batch,), the prefix of each row.
    """

    key: Array
    value: Array
    source: npt.NDArray[np.intp]

    @property
    def length(self) -> int:
        """How many positions are shared."""
        length: int = self.key.shape[-2]
        return length

    def first(self, length: int) -> SharedPrefix:
        """No more than the first `length` of these positions, without a copy."""
        return SharedPrefix(self.key[..., :length, :], self.value[..., :length, :], self.source)


def attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Mask,
    scale: float,
    shared: SharedPrefix | None = None,
    tap: Tap = discard,
    layer: int | None = None,
) -> Array:
    """`npgpt.ops.attention`: `softmax(scale · q kᵀ, −inf where masked) v`, head by head.

    query (batch, head, query, head_dim), key and value (batch, head, key, head_dim), mask
    broadcastable to (batch, head, query, key), True where a key is visible to a query
    -> (batch, head, query, head_dim). A query that sees no key gets zeros.

    Computed in tiles of a few heads and queries, with only those keys that any of a tile's queries
    sees: of a causal mask half is left out.

    The keys and values of `shared` stand before those of `key` and `value`: all of them are what
    `mask` and the tap mean by key.

    A tap that wants one of them is handed `scores` and `pattern`, which are then computed as a
    whole, with the same bits.

    >>> import numpy as np
    >>> q, k = np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 2, 1))
    >>> v = np.array([[[[1.0], [3.0]]]])
    >>> attention(q, k, v, mask=np.array([True, True]), scale=1.0)
    array([[[[2.]]]])
    """
    batch, head, length, width = query.shape
    with quiet():
        query = query * query.dtype.type(scale)
    operands = _Operands(query, key.swapaxes(-1, -2), value, shared, mask)
    tiles = tiles_of(mask, (batch, head, length, operands.keys), prefix=operands.prefix)
    # Heads beside one another, as what comes after attention reads them.
    out = np.empty((batch, length, head, width), query.dtype).swapaxes(1, 2)
    if not (wants(tap, "scores", layer) or wants(tap, "pattern", layer)):

        def compute(tile: Tile) -> None:
            scores = _scores(operands, tile)
            _weighted_values(operands, tile, softmax(scores, out=scores), out)

        parallel_for(compute, tiles)
        return out
    full = (batch, head, length, operands.keys)
    scores: Array = np.full(full, -np.inf, query.dtype)
    pattern: Array = np.zeros(full, query.dtype)

    def compute_scores(tile: Tile) -> None:
        scores[tile.place] = _scores(operands, tile)

    def compute_pattern(tile: Tile) -> None:
        tile = _reaching(tile, scores, -np.inf)
        pattern[tile.place] = softmax(scores[tile.place])

    def compute_out(tile: Tile) -> None:
        tile = _reaching(tile, pattern, 0)
        _weighted_values(operands, tile, np.ascontiguousarray(pattern[tile.place]), out)

    parallel_for(compute_scores, tiles)
    scores = tap("scores", layer, scores)
    parallel_for(compute_pattern, tiles)
    pattern = tap("pattern", layer, pattern)
    parallel_for(compute_out, tiles)
    return out


class _Operands(NamedTuple):
    """What all tiles are computed from: the query scaled, the key transposed."""

    query: Array
    key: Array
    value: Array
    shared: SharedPrefix | None
    mask: Mask

    @property
    def prefix(self) -> int:
        """How many keys are shared."""
        return 0 if self.shared is None else self.shared.length

    @property
    def keys(self) -> int:
        """How many keys there are, the shared ones included."""
        own: int = self.key.shape[-1]
        return self.prefix + own


def _scores(operands: _Operands, tile: Tile) -> Array:
    """`q kᵀ` of a tile, −inf where masked: (rows, heads, queries, end)."""
    rows, heads, queries, _ = tile.place
    query, prefix = operands.query[rows, heads, queries], operands.prefix
    scores = np.empty((*query.shape[:3], tile.end), query.dtype)
    own = operands.key[rows, heads, :, : tile.end - prefix]
    with quiet():
        blocked_matmul(query, own, scores[..., prefix:])
        if operands.shared is not None:
            key = operands.shared.key[:, heads].swapaxes(-1, -2)
            scores[..., :prefix] = _by_prefix(query, key, operands.shared.source[rows])
    if tile.unmasked < tile.end:
        mask = np.broadcast_to(operands.mask, (*operands.query.shape[:3], operands.keys))
        masked = ~mask[rows, heads, queries, tile.unmasked : tile.end]
        np.copyto(scores[..., tile.unmasked :], -np.inf, where=masked)
    return scores


def _weighted_values(operands: _Operands, tile: Tile, pattern: Array, out: Array) -> None:
    """Put `pattern @ v` of a tile into out (batch, head, query, head_dim)."""
    rows, heads, queries, _ = tile.place
    prefix, own = operands.prefix, operands.value[rows, heads, : tile.end - operands.prefix]
    sums = out[rows, heads, queries]
    with quiet():
        blocked_matmul(pattern[..., prefix:], own, sums)
        if operands.shared is not None:
            value = operands.shared.value[:, heads]
            sums += _by_prefix(pattern[..., :prefix], value, operands.shared.source[rows])


def _reaching(tile: Tile, array: Array, nothing: float) -> Tile:
    """The tile, over all keys where a tap has put something else than `nothing` past its end."""
    rest = array[tile.rows, tile.heads, tile.queries, tile.end :]
    return tile._replace(end=array.shape[-1]) if (rest != nothing).any() else tile


def _by_prefix(left: Array, right: Array, source: npt.NDArray[np.intp]) -> Array:
    """`left[i] @ right[source[i]]` for each row i: one product for all rows of a prefix.

    left (batch, head, query, n), right (prefix, head, n, m) -> (batch, head, query, m).
    """
    (batch, head, query, n), m = left.shape, right.shape[-1]
    out = np.empty((batch, head, query, m), left.dtype)
    for prefix in np.unique(source):
        rows = np.flatnonzero(source == prefix)
        stacked = left[rows].swapaxes(0, 1).reshape(head, len(rows) * query, n)
        product = (stacked @ right[prefix]).reshape(head, len(rows), query, m)
        out[rows] = product.swapaxes(0, 1)
    return out
