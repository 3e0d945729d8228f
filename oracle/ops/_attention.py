"""Scaled dot-product attention with explicit boolean masks."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from oracle.ops._softmax import softmax

# Sees each activation by name and layer; the computation goes on with what it returns.
Tap = Callable[[str, int | None, Tensor], Tensor]


def keep(name: str, layer: int | None, tensor: Tensor) -> Tensor:
    """The tap that changes nothing."""
    return tensor


def causal_mask(query: int, key: int, *, device: torch.device | str | None = None) -> Tensor:
    """Boolean (query, key): True where the key is not after the query.

    The queries are the last `query` of the `key` positions.

    >>> causal_mask(2, 3).int().tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    at = torch.arange(key, device=device)
    return at <= at[key - query :, None]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor,
    scale: float,
    upcast: bool = False,
    tap: Tap | None = None,
    layer: int | None = None,
) -> Tensor:
    """softmax(q kᵀ scale, -inf where not mask) v; a query that may look at nothing gives zeros.

    query: (batch, head, query, head_dim); key, value: (batch, head, key, head_dim); mask: bool,
    broadcastable to (batch, head, query, key), True where the query may look; returns query's
    shape and dtype. `upcast` computes the scores and their softmax in float32 at least. With a
    tap, the scores, pattern and head_out pass through it. Source: Vaswani et al. 2017, section
    3.2.1, https://arxiv.org/abs/1706.03762

    >>> q, k, v = torch.zeros(1, 1, 2, 1), torch.zeros(1, 1, 2, 1), torch.tensor([[[[2.0], [4.0]]]])
    >>> attention(q, k, v, mask=causal_mask(2, 2), scale=1.0).flatten().tolist()
    [2.0, 3.0]
    """
    if tap is None and not upcast:
        mask = torch.atleast_2d(mask)
        sees = mask.any(-1, keepdim=True)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask | ~sees, scale=scale)
        return torch.where(sees, out, 0)
    tap = tap or keep
    wide = torch.promote_types(query.dtype, torch.float32) if upcast else query.dtype
    scores = (query.to(wide) @ key.to(wide).mT) * scale
    scores = tap("scores", layer, scores.masked_fill(~mask, float("-inf")))
    pattern = tap("pattern", layer, softmax(scores).to(value.dtype))
    return tap("head_out", layer, pattern @ value)
