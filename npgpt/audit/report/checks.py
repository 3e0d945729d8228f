"""Whether the numbers of a pass hold, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from npgpt.audit.invariants import from_tokens
from npgpt.audit.report.one_pass import Pass
from npgpt.trace import Key


def verified(of: Pass, *, same: bool | None = None) -> dict[str, Any]:
    """Whether recorded arrays recompute one another, and the worst of each.

    ratio: the largest error as a part of what rounding may do; above 1 is wrong. same_logits:
    whether a pass with nothing recorded gave the same bits; None where there was none.
    """
    return verdict(from_tokens(of.trace, of.tokens, of.parameters, of.config), same=same)


def verdict(ratios: Mapping[Key, float], *, same: bool | None = None) -> dict[str, Any]:
    """The same, of ratios.

    >>> verdict({("logits", None): 0.5, ("ln_f", None): 2.0})["largest"]
    {'name': 'ln_f', 'layer': None, 'ratio': 2.0}
    """
    each = [{"name": n, "layer": layer, "ratio": ratio} for (n, layer), ratio in ratios.items()]
    largest = each[int(np.argmax(list(ratios.values())))]
    ok = same is not False and all(ratio <= 1 for ratio in ratios.values())
    return {"ok": ok, "same_logits": same, "largest": largest, "arrays": each}


def non_finite(of: Pass) -> list[dict[str, Any]]:
    """The activations with NaN or infinity, and how many; not counted: −inf for later keys."""
    found = []
    for (name, layer), array in of.trace.arrays.items():
        wrong = ~np.isfinite(array)
        if name == "scores":
            wrong &= np.tri(wrong.shape[-1], dtype=bool)
        if count := int(np.count_nonzero(wrong)):
            found.append({"name": name, "layer": layer, "count": count})
    return found
