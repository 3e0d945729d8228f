"""Bugs of attention that need many keys, queries, heads or wide heads to show."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from oracle.mutants._attention import variant
from oracle.mutants._mutant import Mutant, Severity
from oracle.mutants._wrapping import WIDE, model_bug
from oracle.ops._attention import causal_mask as _true_mask
from oracle.ops._softmax import softmax

TILE = 16
LONG: Severity = "long contexts"


def _all_seen_beyond(most: int) -> Callable[..., Tensor]:
    """No mask at all as soon as there are more keys."""

    def causal_mask(query: int, key: int, *, device: Any = None) -> Tensor:
        mask = _true_mask(query, key, device=device)
        return mask | torch.tensor(key > most, device=device)

    return causal_mask


def _block_diagonal(block: int) -> Callable[..., Tensor]:
    """Blocks are told apart, but in the last of a query's blocks all is looked at."""

    def causal_mask(query: int, key: int, *, device: Any = None) -> Tensor:
        mask = _true_mask(query, key, device=device)
        at = torch.arange(key, device=device) // block
        return mask if key <= block else at <= at[key - query :, None]

    return causal_mask


def _within_block(block: int) -> Callable[..., Tensor]:
    """The causal comparison is of indices within a block."""

    def causal_mask(query: int, key: int, *, device: Any = None) -> Tensor:
        at = torch.arange(key, device=device) % block
        return _true_mask(query, key, device=device) & (at <= at[key - query :, None])

    return causal_mask


def _cut_keys(keep: Callable[[int], int]) -> Callable[[Tensor, Tensor], Tensor]:
    """Of so many keys, only the first keep(keys) are looked at."""

    def masked(scores: Tensor, mask: Tensor) -> Tensor:
        keys = scores.shape[-1]
        seen = torch.arange(keys, device=scores.device) < keep(keys)
        return scores.masked_fill(~(mask & seen), -math.inf)

    return masked


def _window(size: int) -> Callable[..., Tensor]:
    def causal_mask(query: int, key: int, *, device: Any = None) -> Tensor:
        at = torch.arange(key, device=device)
        return _true_mask(query, key, device=device) & (at > at[key - query :, None] - size)

    return causal_mask


def _whole_tiles(tile: int) -> Callable[[int], int]:
    return lambda size: size if size < tile else size // tile * tile


def _levels(scores: Tensor) -> Tensor:
    """The running maximum that an online softmax has at each key's tile."""
    tops = [part.amax(-1, keepdim=True) for part in scores.split(TILE, -1)]
    tops = [top.expand(part.shape) for top, part in zip(tops, scores.split(TILE, -1), strict=True)]
    running = torch.cat(tops, -1).cummax(-1).values
    return torch.where(running == -math.inf, 0, running)


def _sum_not_rescaled(scores: Tensor, mask: Tensor) -> Tensor:
    level = _levels(scores)
    total = torch.exp(scores - level).sum(-1, keepdim=True)
    return torch.exp(scores - level[..., -1:]) / torch.where(total > 0, total, 1)


def _output_not_rescaled(scores: Tensor, mask: Tensor) -> Tensor:
    level = _levels(scores)
    total = torch.exp(scores - level[..., -1:]).sum(-1, keepdim=True)
    return torch.exp(scores - level) / torch.where(total > 0, total, 1)


def _splits_averaged(scores: Tensor, mask: Tensor) -> Tensor:
    """A softmax for each split of the keys, and their plain mean, where there is one query."""
    if scores.shape[-2] > 1 or scores.shape[-1] <= 64:
        return softmax(scores)
    parts = [softmax(part) for part in scores.split(64, -1)]
    return torch.cat(parts, -1) / len(parts)


def _first_dims(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return query[..., :64] @ key[..., :64].mT * scale


def _padded_scale(query: Tensor, key: Tensor, scale: float) -> Tensor:
    width = query.shape[-1]
    padded = width if width <= 64 else -(-width // 64) * 64
    return query @ key.mT * (scale * (width / padded) ** 0.5)


def _tail_queries_zero(pattern: Tensor, value: Tensor) -> Tensor:
    out, queries = pattern @ value, pattern.shape[-2]
    if queries > 32:
        out[..., queries // 32 * 32 :, :] = 0
    return out


def _few_heads(pattern: Tensor, value: Tensor) -> Tensor:
    out = pattern @ value
    out[:, 16:] = 0
    return out


def _mask_word(scores: Tensor, mask: Tensor) -> Tensor:
    """Which keys are real is kept in one word of 32 bits for each row."""
    keys = scores.shape[-1]
    mask = mask.expand(*scores.shape)
    real = mask[..., -1:, :]
    word = real[..., torch.arange(keys, device=scores.device) % 32]
    causal = _true_mask(scores.shape[-2], keys, device=scores.device)
    return scores.masked_fill(~((mask | (causal & ~real)) & word), -math.inf)


def _half_mix(pattern: Tensor, value: Tensor) -> Tensor:
    if pattern.shape[-1] <= 256:
        return pattern @ value
    parts = zip(pattern.split(128, -1), value.split(128, -2), strict=True)
    return sum(((p @ v).half() for p, v in parts), torch.zeros((), dtype=torch.half)).to(value)


MUTANTS: tuple[Mutant, ...] = tuple(
    model_bug(id, bug, source, effect=effect, severity=LONG, **options)
    for id, bug, source, effect, options in (
        (
            "causal-mask-first-tile",
            "no causal mask as soon as there are more than 16 keys",
            "",
            "prompts of over 16 tokens see what comes after them",
            {"causal_mask": _all_seen_beyond(16)},
        ),
        (
            "causal-mask-diagonal-block",
            "blocks of 32 keys after the query are skipped, but nothing is masked in its own",
            "",
            "a token sees up to 31 that come after it",
            {"causal_mask": _block_diagonal(32)},
        ),
        (
            "causal-mask-block-index",
            "the causal mask compares indices within blocks of 64, not positions",
            "",
            "earlier tokens are hidden from the 65th token on",
            {"causal_mask": _within_block(64)},
        ),
        (
            "online-softmax-sum-not-rescaled",
            "online softmax in tiles of 16 keys does not rescale the old sum at the next tile",
            "flashinfer-ai/flashinfer#27",
            "logits off by units from the 17th token on",
            {"attention": variant(normalise=_sum_not_rescaled)},
        ),
        (
            "online-softmax-output-not-rescaled",
            "online softmax in tiles of 16 keys does not rescale what was seen before",
            "Dao-AILab/flash-attention#2082",
            "logits off by units from the 17th token on",
            {"attention": variant(normalise=_output_not_rescaled)},
        ),
        (
            "attention-partial-tile-dropped",
            "keys of the last tile of 64 are left out where it is not full",
            "jax-ml/jax#27224",
            "the newest tokens are not looked at",
            {"attention": variant(masked=_cut_keys(_whole_tiles(64)))},
        ),
        (
            "attention-first-512-keys",
            "a row of scores has room for 512 keys; later ones are not looked at",
            "",
            "long prompts lose their end",
            {"attention": variant(masked=_cut_keys(lambda keys: min(keys, 512)))},
        ),
        (
            "attention-window-left-on",
            "a sliding window of 128 keys that another model has is left on",
            "vllm-project/vllm#2064",
            "long prompts lose their beginning",
            {"causal_mask": _window(128)},
        ),
        (
            "attention-tail-queries-zero",
            "queries of the last tile of 32 get zeros where it is not full",
            "66RING/tiny-flash-attention#12",
            "the last tokens of a prompt see nothing",
            {"attention": variant(mixed=_tail_queries_zero)},
        ),
        (
            "attention-split-keys-averaged",
            "for one query, splits of 64 keys are averaged without their weights",
            "",
            "cached steps after the 64th token are off",
            {"attention": variant(normalise=_splits_averaged), "area": "cache"},
        ),
        (
            "attention-head-dim-64",
            "a tile holds 64 features of a head; the scores leave out the others",
            "triton-lang/triton#621",
            "models with wider heads are off by units",
            {"attention": variant(product=_first_dims)},
        ),
        (
            "attention-scale-of-padded-head",
            "heads wider than 64 are padded to a multiple of it, and scaled by that",
            "",
            "heads of width 80 attend too evenly",
            {"attention": variant(product=_padded_scale)},
        ),
        (
            "attention-heads-beyond-16",
            "heads from the 17th on give zeros",
            "",
            "larger models lose heads",
            {"attention": variant(mixed=_few_heads)},
        ),
        (
            "pad-mask-one-word",
            "which keys are real is kept in 32 bits: the mask repeats after 32 keys",
            "",
            "padded rows of over 32 tokens hide words",
            {"attention": variant(masked=_mask_word)},
        ),
        (
            "attention-long-sum-float16",
            "beyond 256 keys, sums over blocks of 128 are added in float16",
            "",
            "three digits are left of long prompts",
            {"attention": variant(mixed=_half_mix), "dtypes": WIDE},
        ),
    )
)
