"""What the model says comes next, at the end and at each depth, and how it took what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from npgpt.arrays import Array
from npgpt.audit.logit_lens import depths, logit_lens
from npgpt.audit.report.one_pass import Pass
from npgpt.audit.surprisal import rank, surprisal
from npgpt.ops.softmax import softmax

LISTED = 5  # likeliest tokens of each prediction
_AT_ONCE = 64  # positions whose logits are held in float64 at one time


def surprise(of: Pass) -> dict[str, Any]:
    """`tokens`, `mean_nats` and `next` of `facts.gather`."""
    logits, ids = of.trace["logits"], of.tokens[0].tolist()
    nats: list[float | None] = [None, *surprisal(logits, of.tokens)[0].tolist()]
    ranks: list[int | None] = [None, *rank(logits, of.tokens)[0].tolist()]
    *instead, after = likeliest(logits[0], of.name)
    known = [x for x in nats if x is not None]
    return {
        "tokens": [
            {
                "id": token,
                "text": of.name(token),
                "nats": x,
                "rank": None if x is None or np.isnan(x) else r,
                "probability": None if x is None else float(np.exp(-x)),
                "likeliest": others,
            }
            for token, x, r, others in zip(ids, nats, ranks, [[], *instead], strict=True)
        ],
        "mean_nats": sum(known) / len(known) if known else None,
        "next": after,
    }


def lens(of: Pass) -> list[dict[str, Any]]:
    """`logit_lens` of `facts.gather`."""
    rows = []
    for depth, residual in depths(of.trace, of.config):
        cells = []
        for start in range(0, residual.shape[1], _AT_ONCE):
            some = residual[:, start : start + _AT_ONCE]
            cells += likeliest(logit_lens(some, of.parameters, of.config)[0], of.name)
        rows.append({"depth": depth, "positions": cells})
    return rows


def likeliest(logits: Array, name: Callable[[int], str]) -> list[list[dict[str, Any]]]:
    """The `LISTED` likeliest tokens after each position, none where logits are NaN: (n, vocab)."""
    found = []
    for start in range(0, len(logits), _AT_ONCE):
        shares = softmax(logits[start : start + _AT_ONCE].astype(np.float64))
        few = min(LISTED, shares.shape[-1])
        ids = np.argpartition(-shares, few - 1, axis=-1)[:, :few]
        for row, share in zip(ids, shares, strict=True):
            known = [] if np.isnan(share).any() else row.tolist()
            order = sorted(known, key=lambda token: (-share[token], token))
            found.append(
                [{"id": t, "text": name(t), "probability": float(share[t])} for t in order]
            )
    return found
