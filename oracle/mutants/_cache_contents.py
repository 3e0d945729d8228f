"""Bugs of what the cache holds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._cache_calls import both, later, reading
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import WIDE, Call, changed, model_bug


def _leaking() -> Callable[..., model.Output]:
    """Each first call also sees the keys and values that the one before it left behind.

    There is one cache for each shape of model, as if the model held it.
    """
    left: dict[Any, model.Past] = {}

    def run(call: Call) -> model.Output:
        shape = tuple((name, w.shape, w.dtype, w.device) for name, w in call.weights.items())
        key = (shape, call.c["n_head"])
        old = left.get(key) if call.past is None else None
        if old is None:
            output = call.run()
            left[key] = output.past
            return output
        rows = torch.arange(len(call.tokens), device=call.tokens.device) % len(old.mask)
        past = both(lambda t: t[rows])(replace(old, mask=old.mask[rows]))
        output = call.run(past=past, positions=call.places)
        size = past.mask.shape[1]
        own = both(lambda t: t[:, :, size:])(replace(output.past, mask=call.mask))
        left[key] = own
        return replace(output, past=own)

    return changed(run)


def _top(t: Tensor) -> Tensor:
    """The largest magnitude of each vector, never 0."""
    top = t.abs().amax(-1, keepdim=True)
    return torch.where(top > 0, top, 1)


def _scaled(past: model.Past) -> model.Past:
    return replace(past, keys=tuple(k / k.shape[-1] ** 0.5 for k in past.keys))


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "cache-leaks",
        "the cache survives into the next call",
        "rasbt/LLMs-from-scratch#1048",
        effect="right in a fresh process; other logits from the second call on",
        severity="text",
        area="cache",
        forward=_leaking(),
    ),
    model_bug(
        "cache-not-grown",
        "the cache keeps the prompt only",
        "",
        effect="other texts from the third cached token on",
        severity="text",
        area="cache",
        forward=later(lambda call, past: replace(call.run(), past=past)),
    ),
    model_bug(
        "cache-rows-swapped",
        "the rows of a batch read each other's cache",
        "tanishqkumar/ssd#23",
        effect="right alone; every row of a batch continues another's text",
        severity="text",
        area="cache",
        forward=reading(both(lambda t: t.roll(1, 0))),
    ),
    model_bug(
        "cache-one-layer",
        "all layers share the first one's cache",
        "",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        forward=reading(
            lambda past: replace(
                past,
                keys=past.keys[:1] * len(past.keys),
                values=past.values[:1] * len(past.values),
            )
        ),
    ),
    model_bug(
        "cache-heads-mixed",
        "the cache is stored as (batch, key, head, ...) and read as (batch, head, key, ...)",
        "",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        forward=reading(both(lambda t: t.transpose(1, 2).reshape(t.shape))),
    ),
    model_bug(
        "cache-keys-scaled-twice",
        "cached keys carry the scale already, and are scaled again",
        "",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        forward=reading(_scaled),
    ),
    model_bug(
        "cache-float16",
        "the cache is kept in float16",
        "LostRuins/koboldcpp:src/llama.cpp",
        effect="cached logits off by 0.001, text unchanged",
        severity="rounding",
        area="cache",
        dtypes=WIDE,
        forward=reading(both(lambda t: t.half().to(t.dtype))),
    ),
    model_bug(
        "cache-int8",
        "the cache is kept in 8-bit integers, one scale for each vector",
        "",
        effect="cached logits off by 0.04, text unchanged",
        severity="probabilities",
        area="cache",
        forward=reading(
            both(lambda t: (t * (127 / _top(t))).round() * (_top(t) / 127)),
        ),
    ),
)
