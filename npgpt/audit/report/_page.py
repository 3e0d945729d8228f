"""The page of an audit: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array
from npgpt.audit.report._recording import Recording

MOST_WEIGHTS = 3_000_000  # attention weights that a page holds, a byte each
MOST_CELLS = 8_000  # of the logit lens
MOST_DECISIONS = 100
_DIGITS = 5  # of the numbers on the page
_LEVELS = 255
_TEMPLATE, _HERE = "page.html", "DATA_OF_THE_AUDIT"


def page(facts: Mapping[str, Any], of: Recording) -> str:
    """The page, of `facts.gather` with what else is to be said: model, prompt, decisions.

    Of a long text it draws the logit lens and the attention of the last positions only, as many
    as `MOST_WEIGHTS` and `MOST_CELLS` let it, and says so.
    """
    shown = window(of.tokens.shape[1], of.config.n_layer, of.config.n_head)
    patterns = [packed(of.trace["pattern", layer][0], shown) for layer in range(of.config.n_layer)]
    lens = [row | {"positions": row["positions"][-shown:]} for row in facts["logit_lens"]]
    decided = facts["decisions"]
    cut = decided and decided | {"ledger": decided["ledger"][:MOST_DECISIONS]}
    data = {**facts, "logit_lens": lens, "shown": shown, "patterns": patterns, "decisions": cut}
    template = Path(__file__).with_name(_TEMPLATE).read_text(encoding="utf-8")
    return template.replace(_HERE, embedded(data))


def embedded(data: Any) -> str:
    r"""JSON that is safe within a script element: ASCII, and nothing that HTML gives a meaning.

    >>> embedded({"text": "</script>", "x": 1.23456789, "y": float("nan")})
    '{"text":"\\u003c/script\\u003e","x":1.2346,"y":null}'
    """
    text = json.dumps(_short(data), allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def window(tokens: int, layers: int, heads: int) -> int:
    """How many of the last positions a page draws.

    >>> [window(1024, 12, 12), window(1024, 48, 25), window(200, 6, 4), window(9, 0, 1)]
    [203, 70, 200, 9]
    """
    head_count = max(layers * heads, 1)
    # The largest n of which each head has n (n + 1) / 2 weights.
    by_weights = (math.isqrt(8 * (MOST_WEIGHTS // head_count) + 1) - 1) // 2
    return max(1, min(tokens, by_weights, MOST_CELLS // (layers + 1)))


def packed(pattern: Array, shown: int) -> list[str]:
    """Of each head the weights of the last `shown` positions, as base64; pattern (head, n, n).

    A byte is a weight's square root in steps of 1/255, which gives small ones more of the steps.
    Row after row, each as far as its own position: what comes later has no weight. NaN is 0.

    >>> base64.b64decode(packed(np.array([[[1.0, 0.0], [0.25, 0.75]]]), 2)[0]).hex()
    'ff80dd'
    """
    last = pattern[:, -shown:, -shown:]
    steps = np.rint(np.sqrt(np.nan_to_num(last)) * _LEVELS).astype(np.uint8)
    lower: npt.NDArray[np.bool_] = np.tri(last.shape[-1], dtype=bool)
    return [base64.b64encode(head[lower].tobytes()).decode() for head in steps]


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_short(item) for item in value]
    return value
