"""Attention heads in a few numbers each, and the heads that stand out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npgpt._arrays import Array, Tokens
from npgpt.audit import _attention_summary as attention_summary
from npgpt.audit._frozen_norm import Float64
from npgpt.audit.sites import Site
from npgpt.trace import Recorder

# How a head is read -> what each of its queries is given. Only of entropy the lowest stand out too.
_KINDS: dict[str, Callable[[Array], Float64]] = {
    "to_previous": attention_summary.attention_to_previous,
    "to_first": attention_summary.attention_to_first,
    "entropy": attention_summary.attention_entropy,
}
_OUTSTANDING = {
    "to_previous": ("to_previous", -1),
    "induction": ("induction", -1),
    "to_first": ("to_first", -1),
    "lowest_entropy": ("entropy", 1),
    "highest_entropy": ("entropy", -1),
}


@dataclass(frozen=True, eq=False)
class HeadSummary:
    """Each (layer, head), of the first row of a pass; NaN where no position has one.

    to_previous, to_first and entropy, in nats, are means over all queries but the first; induction
    is `attention_summary.induction_score`.
    """

    to_previous: Float64
    to_first: Float64
    entropy: Float64
    induction: Float64


def summarise_heads(trace: Recorder, tokens: Tokens, layers: int) -> HeadSummary:
    """The heads of a trace that holds "pattern" of so many layers: tokens (batch, query)."""
    patterns = [trace["pattern", layer] for layer in range(layers)]
    means = {
        kind: _table([_mean(read(pattern)[0, :, 1:]) for pattern in patterns])
        for kind, read in _KINDS.items()
    }
    induction = [attention_summary.induction_score(pattern, tokens)[0] for pattern in patterns]
    return HeadSummary(**means, induction=_table(induction))


def outstanding_heads(
    summary: HeadSummary, *, count: int = 3
) -> dict[str, list[tuple[Site, float]]]:
    """The `count` heads highest in each number, or lowest in entropy, that have one."""

    def first(kind: str, sign: int) -> list[tuple[Site, float]]:
        table = getattr(summary, kind)
        finite = [tuple(at) for at in np.argwhere(np.isfinite(table)).tolist()]
        order = sorted(finite, key=lambda at: sign * table[at])[:count]
        return [
            (Site("head_out", layer, (("head", head),)), float(table[layer, head]))
            for layer, head in order
        ]

    return {name: first(*how) for name, how in _OUTSTANDING.items()}


def _table(rows: list[Float64]) -> Float64:
    return np.array(rows, np.float64) if rows else np.zeros((0, 0))


def _mean(values: Float64) -> Float64:
    """Of each row; NaN of none."""
    count = values.shape[-1]
    return values.sum(axis=-1) / count if count else np.full(len(values), np.nan)
