"""Scaled dot-product attention, and the causal mask."""

import numpy as np

from npgpt._arrays import Array, Mask, quiet
from npgpt.ops._softmax import softmax
from npgpt.trace import Tap, discard


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
    broadcastable to (batch, head, query, key), True where a key is visible to a query
    -> (batch, head, query, head_dim). A query that sees no key gets zeros. The tap is handed
    `scores` and `pattern`, both (batch, head, query, key).

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.

    >>> import numpy as np
    >>> q, k = np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 2, 1))
    >>> v = np.array([[[[1.0], [3.0]]]])
    >>> attention(q, k, v, mask=np.array([True, True]), scale=1.0)
    array([[[[2.]]]])
    """
    with quiet():
        products = float(scale) * query @ key.swapaxes(-1, -2)
        scores = tap("scores", layer, np.where(mask, products, -np.inf))
        pattern = tap("pattern", layer, softmax(scores))
        out: Array = pattern @ value
    return out


def causal_mask(query: int, key: int) -> Mask:
    """Which keys are visible to each query: its own position and those before it.

    -> (query, key), True where visible. The queries are the last of the keys' positions, so with
    a cache query i stands at position key − query + i.

    >>> causal_mask(2, 3).astype(int)
    array([[1, 1, 0],
           [1, 1, 1]])
    """
    return np.tri(query, key, key - query, dtype=bool)
