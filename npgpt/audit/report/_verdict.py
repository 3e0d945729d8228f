"""Verdict on a trace, as plain data: whether its numbers hold, and the worst error of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from npgpt.trace import Key


def verdict(ratios: Mapping[Key, float], *, same: bool | None = None) -> dict[str, Any]:
    """Whether recorded arrays recompute one another, and the worst of each.

    ratio: the largest error as a part of what rounding may do; above 1 is wrong. same_logits:
    whether a pass with nothing recorded gave the same bits; None where there was none.

    >>> verdict({("logits", None): 0.5, ("ln_f", None): 2.0})["largest"]
    {'name': 'ln_f', 'layer': None, 'ratio': 2.0}
    """
    arrays = [{"name": n, "layer": layer, "ratio": ratio} for (n, layer), ratio in ratios.items()]
    largest = arrays[int(np.argmax(list(ratios.values())))]
    ok = same is not False and all(ratio <= 1 for ratio in ratios.values())
    return {"ok": ok, "same_logits": same, "largest": largest, "arrays": arrays}
