"""What each attention head looks at, in a few numbers, and which heads stand out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt.arrays import Array
from npgpt.audit import attention_summary
from npgpt.audit.report.one_pass import Pass

STRIKING = 3  # heads of each kind

# How a head is read -> what each of its queries is given. Only of entropy the lowest stand out too.
_KINDS: dict[str, Callable[[Array], npt.NDArray[np.float64]]] = {
    "to_previous": attention_summary.to_previous,
    "to_first": attention_summary.to_first,
    "entropy": attention_summary.entropy,
}


def summaries(of: Pass) -> list[dict[str, Any]]:
    """`heads` of `facts.gather`."""
    found = []
    for layer in range(of.config.n_layer):
        pattern = of.trace["pattern", layer]
        induction = attention_summary.induction_score(pattern, of.tokens)[0].tolist()
        readings = {kind: _mean(read(pattern)[0, :, 1:]) for kind, read in _KINDS.items()}
        found += [
            {"layer": layer, "head": head, "induction": induction[head]}
            | {kind: means[head] for kind, means in readings.items()}
            for head in range(of.config.n_head)
        ]
    return found


def striking(heads: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """`striking` of `facts.gather`, of its `heads`."""

    def first(kind: str, sign: int) -> list[dict[str, Any]]:
        known = [head for head in heads if np.isfinite(head[kind])]
        order = sorted(known, key=lambda head: sign * head[kind])[:STRIKING]
        return [{"layer": h["layer"], "head": h["head"], "value": h[kind]} for h in order]

    return {
        "to_previous": first("to_previous", -1),
        "induction": first("induction", -1),
        "to_first": first("to_first", -1),
        "lowest_entropy": first("entropy", 1),
        "highest_entropy": first("entropy", -1),
    }


def _mean(each: npt.NDArray[np.float64]) -> list[float]:
    """Of each row; NaN of none."""
    means = each.sum(axis=-1) / each.shape[-1] if each.shape[-1] else np.full(len(each), np.nan)
    return [float(mean) for mean in means]
