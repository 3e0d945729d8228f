"""Scaled dot-product attention."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from npgpt import threads
from npgpt.arrays import Array, Mask, quiet
from npgpt.ops.attention_tiles import Tile, tiles_of
from npgpt.ops.few_rows import in_blocks
from npgpt.ops.softmax import softmax
from npgpt.trace import Tap, discard, wants


def causal_mask(query: int, key: int) -> Mask:
    """Which keys each query may look at: itself and what came before.

    -> (query, key), True where allowed. The queries are the last of the keys' positions, so with
    a cache query i stands at position key − query + i.

    >>> causal_mask(2, 3).astype(int)
    array([[1, 1, 0],
           [1, 1, 1]])
    """
    return np.tri(query, key, key - query, dtype=bool)


class Shared(NamedTuple):
    """Keys and values of the first positions, held once for all rows that began alike.

    key and value (prompt, head, length, head_dim); source (batch,), the prompt each row began with.
    """

    key: Array
    value: Array
    source: npt.NDArray[np.intp]

    @property
    def length(self) -> int:
        """How many positions are shared."""
        length: int = self.key.shape[-2]
        return length

    def first(self, length: int) -> Shared:
        """No more than the first `length` of these positions, without a copy."""
        return Shared(self.key[..., :length, :], self.value[..., :length, :], self.source)


def attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Mask,
    scale: float,
    shared: Shared | None = None,
    tap: Tap = discard,
    layer: int | None = None,
) -> Array:
    """`softmax(scale · q kᵀ, −inf where masked) v`, head by head.

    query (batch, head, query, head_dim), key and value (batch, head, key, head_dim), mask
    broadcastable to (batch, head, query, key), True where a query may look
    -> (batch, head, query, head_dim). A query that may look at nothing gets zeros.

    Computed in tiles of a few heads and queries, in several threads, with only those keys that a
    tile's queries may look at: of a causal mask half is left out.

    The keys and values of `shared` stand before those of `key` and `value`: all of them are what
    `mask` and the tap mean by key.

    A tap that wants one of them sees `scores` and `pattern`, which are then computed as a whole.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.

    >>> import numpy as np
    >>> q, k = np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 2, 1))
    >>> v = np.array([[[[1.0], [3.0]]]])
    >>> attention(q, k, v, mask=np.array([True, True]), scale=1.0)
    array([[[[2.]]]])
    """
    batch, head, length, width = query.shape
    with quiet():
        query = query * query.dtype.type(scale)
    run = _Run(query, key.swapaxes(-1, -2), value, shared, mask)
    tiles = tiles_of(mask, (batch, head, length, run.keys), before=run.before)
    # Heads beside one another, as what comes after attention reads them.
    out = np.empty((batch, length, head, width), query.dtype).swapaxes(1, 2)
    if not (wants(tap, "scores", layer) or wants(tap, "pattern", layer)):

        def compute(tile: Tile) -> None:
            scores = _scores(run, tile)
            _mix(run, tile, softmax(scores, out=scores), out)

        threads.run(compute, tiles)
        return out
    full = (batch, head, length, run.keys)
    scores: Array = np.full(full, -np.inf, query.dtype)
    pattern: Array = np.zeros(full, query.dtype)

    def score(tile: Tile) -> None:
        scores[tile.place] = _scores(run, tile)

    def look(tile: Tile) -> None:
        tile = _reaching(tile, scores, -np.inf)
        pattern[tile.place] = softmax(scores[tile.place])

    def mix(tile: Tile) -> None:
        tile = _reaching(tile, pattern, 0)
        _mix(run, tile, np.ascontiguousarray(pattern[tile.place]), out)

    threads.run(score, tiles)
    scores = tap("scores", layer, scores)
    threads.run(look, tiles)
    pattern = tap("pattern", layer, pattern)
    threads.run(mix, tiles)
    return out


class _Run(NamedTuple):
    """What all tiles are computed from: the query scaled, the key transposed."""

    query: Array
    key: Array
    value: Array
    shared: Shared | None
    mask: Mask

    @property
    def before(self) -> int:
        """How many keys are shared."""
        return 0 if self.shared is None else self.shared.length

    @property
    def keys(self) -> int:
        """How many keys there are, the shared ones included."""
        own: int = self.key.shape[-1]
        return self.before + own


def _scores(run: _Run, tile: Tile) -> Array:
    """`q kᵀ` of a tile, −inf where masked: (rows, heads, queries, end)."""
    rows, heads, queries, _ = tile.place
    query, before = run.query[rows, heads, queries], run.before
    scores = np.empty((*query.shape[:3], tile.end), query.dtype)
    own = run.key[rows, heads, :, : tile.end - before]
    with quiet():
        in_blocks(query, own, scores[..., before:])
        if run.shared is not None:
            key = run.shared.key[:, heads].swapaxes(-1, -2)
            scores[..., :before] = _by_prompt(query, key, run.shared.source[rows])
    if tile.open < tile.end:
        mask = np.broadcast_to(run.mask, (*run.query.shape[:3], run.keys))
        hidden = ~mask[rows, heads, queries, tile.open : tile.end]
        np.copyto(scores[..., tile.open :], -np.inf, where=hidden)
    return scores


def _mix(run: _Run, tile: Tile, pattern: Array, out: Array) -> None:
    """Put `pattern @ v` of a tile into out (batch, head, query, head_dim)."""
    rows, heads, queries, _ = tile.place
    before, own = run.before, run.value[rows, heads, : tile.end - run.before]
    mixed = out[rows, heads, queries]
    with quiet():
        in_blocks(pattern[..., before:], own, mixed)
        if run.shared is not None:
            value = run.shared.value[:, heads]
            mixed += _by_prompt(pattern[..., :before], value, run.shared.source[rows])


def _reaching(tile: Tile, array: Array, nothing: float) -> Tile:
    """The tile, over all keys where a tap has put something else than `nothing` past its end."""
    rest = array[tile.rows, tile.heads, tile.queries, tile.end :]
    return tile._replace(end=array.shape[-1]) if (rest != nothing).any() else tile


def _by_prompt(left: Array, right: Array, source: npt.NDArray[np.intp]) -> Array:
    """`left[i] @ right[source[i]]` for each row i: one product for all rows of a prompt.

    left (batch, head, query, n), right (prompt, head, n, m) -> (batch, head, query, m).
    """
    (batch, head, query, n), m = left.shape, right.shape[-1]
    out = np.empty((batch, head, query, m), left.dtype)
    for prompt in np.unique(source):
        rows = np.flatnonzero(source == prompt)
        stacked = left[rows].swapaxes(0, 1).reshape(head, len(rows) * query, n)
        product = (stacked @ right[prompt]).reshape(head, len(rows), query, m)
        out[rows] = product.swapaxes(0, 1)
    return out
