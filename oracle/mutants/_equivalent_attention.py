"""Honest other ways to compute attention."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from oracle.mutants._attention import variant
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import EVERY, NOT_FLOAT16, model_bug
from oracle.ops._attention import Tap, attention
from oracle.ops._softmax import softmax


def _added(scores: Tensor, mask: Tensor) -> Tensor:
    return scores + torch.zeros_like(scores).masked_fill(~mask, -math.inf)


def _least(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min)


def _top(scores: Tensor) -> Tensor:
    """The maximum of each row, 0 where nothing may be looked at."""
    top = scores.amax(-1, keepdim=True)
    return torch.where(top == -math.inf, 0, top)


def _least_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask.any(-1, keepdim=True), torch.softmax(scores, -1), 0)


def _exp2(scores: Tensor, mask: Tensor) -> Tensor:
    powers = torch.exp2((scores - _top(scores)) / math.log(2))
    total = powers.sum(-1, keepdim=True)
    return powers / torch.where(total > 0, total, 1)


def _by_logsumexp(scores: Tensor, mask: Tensor) -> Tensor:
    below = scores - _top(scores)
    total = torch.logsumexp(below, -1, keepdim=True)
    return torch.exp(below - torch.where(total == -math.inf, 0, total))


def _untapped(
    compute: Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor],
) -> Callable[..., Tensor]:
    """compute(query, key, value, mask, scale), and the true attention where there is a tap."""

    def run(
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
        if tap is not None:
            options = {"mask": mask, "scale": scale, "upcast": upcast, "tap": tap, "layer": layer}
            return attention(query, key, value, **options)
        wide = torch.promote_types(query.dtype, torch.float32) if upcast else query.dtype
        q, k, v = (t.to(wide) for t in (query, key, value))
        full = mask.expand(*query.shape[:-1], key.shape[-2])
        return compute(q, k, v, full, scale).to(query.dtype)

    return run


def _online(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Two keys at a time, what was summed being scaled anew. Source: Milakov and Gimelshein 2018.

    https://arxiv.org/abs/1805.02867
    """
    top = q.new_full((*q.shape[:-1], 1), -math.inf)
    total, out = torch.zeros_like(top), torch.zeros_like(q)
    for keys, values, looks in zip(k.split(2, -2), v.split(2, -2), mask.split(2, -1), strict=True):
        scores = (q @ keys.mT * scale).masked_fill(~looks, -math.inf)
        new = torch.maximum(top, scores.amax(-1, keepdim=True))
        level = torch.where(new == -math.inf, 0, new)
        shares, shrink = torch.exp(scores - level), torch.exp(top - level)
        total = total * shrink + shares.sum(-1, keepdim=True)
        out, top = out * shrink + shares @ values, new
    return out / torch.where(total > 0, total, 1)


def _divided_last(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    scores = (q @ k.mT * scale).masked_fill(~mask, -math.inf)
    shares = torch.exp(scores - _top(scores))
    total = shares.sum(-1, keepdim=True)
    return shares @ v / torch.where(total > 0, total, 1)


def _by_heads(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    each = zip(*(t.unbind(1) for t in (q, k, v, mask)), strict=True)
    return torch.stack([attention(a, b, c, mask=m, scale=scale) for a, b, c, m in each], 1)


def _by_queries(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    each = zip(q.split(1, -2), mask.split(1, -2), strict=True)
    return torch.cat([attention(a, k, v, mask=m, scale=scale) for a, m in each], -2)


def _fused_added(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    sees = mask.any(-1, keepdim=True)
    added = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask & sees, -math.inf)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=added, scale=scale)
    return torch.where(sees, out, 0)


def _einsums(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    scores = torch.einsum("...qd,...kd->...qk", q, k) * scale
    return torch.einsum("...qk,...kd->...qd", softmax(_added(scores, mask)), v)


attention_in_float64 = _untapped(
    lambda q, k, v, mask, scale: attention(
        q.double(), k.double(), v.double(), mask=mask, scale=scale
    ).to(q.dtype)
)

# Scores overflow in float16; these then take infinity off infinity, which is NaN.
_OVERFLOWING = (
    "attention-mask-least",
    "softmax-exp2",
    "softmax-logsumexp",
    "attention-online",
    "attention-divided-last",
)

EQUIVALENTS: tuple[Mutant, ...] = tuple(
    model_bug(
        id,
        says,
        "",
        area="equivalent",
        dtypes=NOT_FLOAT16 if id in _OVERFLOWING else EVERY,
        attention=what,
    )
    for id, says, what in (
        ("attention-explicit", "not fused", variant()),
        ("attention-mask-added", "minus infinity added where masked", variant(masked=_added)),
        (
            "attention-mask-least",
            "the least finite number where masked",
            variant(masked=_least, normalise=_least_softmax),
        ),
        ("softmax-exp2", "softmax by powers of two", variant(normalise=_exp2)),
        ("softmax-logsumexp", "softmax by log-sum-exp", variant(normalise=_by_logsumexp)),
        ("scale-on-query", "queries scaled", variant(product=lambda q, k, s: (q * s) @ k.mT)),
        (
            "scale-on-both",
            "queries and keys scaled by the root",
            variant(product=lambda q, k, s: (q * s**0.5) @ (k * s**0.5).mT),
        ),
        ("scale-divides", "scores divided", variant(product=lambda q, k, s: q @ k.mT / (1 / s))),
        ("attention-online", "softmax in blocks of keys", _untapped(_online)),
        ("attention-divided-last", "divided by the sum last", _untapped(_divided_last)),
        ("attention-by-heads", "a head at a time", _untapped(_by_heads)),
        ("attention-by-queries", "a query at a time", _untapped(_by_queries)),
        ("attention-fused-added", "fused, with an additive mask", _untapped(_fused_added)),
        ("attention-einsum", "by einsum", _untapped(_einsums)),
        ("attention-float64", "in float64", attention_in_float64),
    )
)
