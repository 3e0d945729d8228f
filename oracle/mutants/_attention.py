"""Bugs of attention: its mask and its softmax."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import model_bug
from oracle.ops._attention import Tap, keep
from oracle.ops._softmax import softmax


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, -math.inf)


def variant(
    *,
    product: Callable[[Tensor, Tensor, float], Tensor] = lambda q, k, scale: q @ k.mT * scale,
    masked: Callable[[Tensor, Tensor], Tensor] = _masked,
    normalise: Callable[[Tensor, Tensor], Tensor] = lambda scores, mask: softmax(scores),
    mixed: Callable[[Tensor, Tensor], Tensor] = lambda pattern, value: pattern @ value,
) -> Callable[..., Tensor]:
    """An `oracle.ops.attention` with a step of its own, and the same taps.

    product(query, key, scale) gives the scores; masked(scores, mask) rules out what may not be
    looked at; normalise(scores, mask) gives the pattern, mixed(pattern, value) what is seen.
    """

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
        tap = tap or keep
        wide = torch.promote_types(query.dtype, torch.float32) if upcast else query.dtype
        scores = product(query.to(wide), key.to(wide), scale)
        scores = tap("scores", layer, masked(scores, mask))
        pattern = tap("pattern", layer, normalise(scores, mask).to(value.dtype))
        return tap("head_out", layer, mixed(pattern, value))

    return attention


def _over(axis: int) -> Callable[[Tensor, Tensor], Tensor]:
    """softmax over another axis; where all are masked, zeros."""
    return lambda scores, mask: torch.nan_to_num(torch.softmax(scores, axis)).masked_fill(~mask, 0)


def _no_maximum(scores: Tensor, mask: Tensor) -> Tensor:
    sees = mask.any(-1, keepdim=True)
    exponentials = scores.exp()
    return torch.where(sees, exponentials / exponentials.sum(-1, keepdim=True), 0)


def _mask_of_other_row(scores: Tensor, mask: Tensor) -> Tensor:
    """batch and head are one axis, batch first, but the mask is repeated as if head were first."""
    batch, head = scores.shape[:2]
    place = torch.arange(batch * head, device=mask.device)
    wrong = mask.expand(scores.shape)[place % batch, place % head]
    return _masked(scores, wrong.unflatten(0, (batch, head)))


def _diagonal(shift: int) -> Callable[..., Tensor]:
    """The causal mask, looking `shift` further."""

    def causal_mask(query: int, key: int, *, device: Any = None) -> Tensor:
        at = torch.arange(key, device=device)
        return at <= at[key - query :, None] + shift

    return causal_mask


def _no_causal_mask(query: int, key: int, *, device: Any = None) -> Tensor:
    return torch.ones(query, key, dtype=torch.bool, device=device)


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "no-causal-mask",
        "no causal mask",
        "hellas-ai/catgrad#50",
        effect="logits off by 8.8, perplexity +53 %",
        severity="text",
        causal_mask=_no_causal_mask,
    ),
    model_bug(
        "causal-off-by-one",
        "the causal mask is one diagonal off: each position sees the next",
        "RVC-Boss/GPT-SoVITS#965",
        effect="logits off by 8.7, perplexity +13 %",
        severity="text",
        causal_mask=_diagonal(1),
    ),
    model_bug(
        "causal-strict",
        "the causal mask hides a position from itself",
        "",
        effect="logits off by 7.4, perplexity +9 %",
        severity="text",
        causal_mask=_diagonal(-1),
    ),
    model_bug(
        "mask-minus-1e4",
        "masked scores are set to -1e4, so large scores leak through",
        "huggingface/transformers#17121",
        effect="nothing, unless scores come near -10000",
        severity="rounding",
        attention=variant(masked=lambda scores, mask: scores.masked_fill(~mask, -1e4)),
    ),
    model_bug(
        "mask-multiplies-scores",
        "scores are multiplied by the mask: what is masked scores 0",
        "georg-wolflein/good-features#1",
        effect="logits off by 11, perplexity × 2",
        severity="text",
        attention=variant(masked=lambda scores, mask: scores * mask),
    ),
    model_bug(
        "mask-after-softmax",
        "the mask is applied after the softmax, and nothing normalised again",
        "huggingface/pytorch-image-models#2236",
        effect="logits off by 10, perplexity +52 %",
        severity="text",
        attention=variant(
            masked=lambda scores, mask: scores,
            normalise=lambda scores, mask: softmax(scores) * mask,
        ),
    ),
    model_bug(
        "mask-of-other-row",
        "with several heads, a row gets the padding mask of another row",
        "lsdefine/attention-is-all-you-need-keras#36",
        effect="padded rows of a batch off by 7 in their logits; right alone",
        severity="text",
        attention=variant(masked=_mask_of_other_row),
    ),
    model_bug(
        "all-masked-row",
        "a query that may look at nothing gives NaN, which spreads",
        "pytorch/pytorch#103749",
        effect="NaN where padding comes first",
        severity="text",
        attention=variant(normalise=lambda scores, mask: torch.softmax(scores, -1)),
    ),
    model_bug(
        "softmax-no-max",
        "softmax without taking the maximum off first",
        "NVIDIA/FasterTransformer#43",
        effect="NaN where a score is beyond 88 in float32",
        severity="text",
        attention=variant(normalise=_no_maximum),
    ),
    model_bug(
        "softmax-over-queries",
        "softmax over the queries, not over the keys",
        "FudanNLP/fastNLP#254",
        effect="logits off by 11, perplexity +94 %",
        severity="text",
        attention=variant(normalise=_over(-2)),
    ),
    model_bug(
        "softmax-over-heads",
        "softmax over the heads, not over the keys",
        "CAMMA-public/rendezvous#10",
        effect="logits off by 13, perplexity × 21",
        severity="text",
        attention=variant(normalise=_over(-3)),
    ),
    model_bug(
        "softmax-plus-one",
        "one more in the softmax's denominator (softmax1)",
        "",
        effect="logits off by 4.9, perplexity −14 %",
        severity="text",
        attention=variant(
            normalise=lambda scores, mask: softmax(
                torch.cat([scores, torch.zeros_like(scores[..., :1])], -1)
            )[..., :-1]
        ),
    ),
)
