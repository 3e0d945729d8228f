"""Scaled dot-product attention."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from npgpt.arrays import Array, Mask, quiet
from npgpt.ops.softmax import softmax
from npgpt.trace import Tap, discard


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

    The keys and values of `shared` stand before those of `key` and `value`: all of them are what
    `mask` and the tap mean by key.

    The tap sees `scores` and `pattern`.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.

    >>> import numpy as np
    >>> q, k = np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 2, 1))
    >>> v = np.array([[[[1.0], [3.0]]]])
    >>> attention(q, k, v, mask=np.array([True, True]), scale=1.0)
    array([[[[2.]]]])
    """
    with quiet():
        query = query * query.dtype.type(scale)
        scores: Array = query @ key.swapaxes(-1, -2)
        if shared is not None:
            before = _by_prompt(query, shared.key.swapaxes(-1, -2), shared.source)
            scores = np.concatenate([before, scores], axis=-1)
    np.copyto(scores, -np.inf, where=~mask)
    scores = tap("scores", layer, scores)
    pattern = tap("pattern", layer, softmax(scores))
    with quiet():
        if shared is None:
            return pattern @ value
        before, after = np.split(pattern, [shared.length], axis=-1)
        return _by_prompt(before, shared.value, shared.source) + after @ value


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
