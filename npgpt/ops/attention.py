"""Scaled dot-product attention."""

import numpy as np

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


def attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Mask,
    scale: float,
    tap: Tap = discard,
    layer: int | None = None,
) -> Array:
    """`softmax(scale · q kᵀ, −inf where masked) v`, head by head.

    query (batch, head, query, head_dim), key and value (batch, head, key, head_dim), mask
    broadcastable to (batch, head, query, key), True where a query may look
    -> (batch, head, query, head_dim). A query that may look at nothing gets zeros.

    The tap sees `scores` and `pattern`.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.

    >>> import numpy as np
    >>> q, k = np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 2, 1))
    >>> v = np.array([[[[1.0], [3.0]]]])
    >>> attention(q, k, v, mask=np.array([True, True]), scale=1.0)
    array([[[[2.]]]])
    """
    with quiet():
        scores: Array = (query * query.dtype.type(scale)) @ key.swapaxes(-1, -2)
    np.copyto(scores, -np.inf, where=~mask)
    scores = tap("scores", layer, scores)
    pattern = tap("pattern", layer, softmax(scores))
    with quiet():
        return pattern @ value
