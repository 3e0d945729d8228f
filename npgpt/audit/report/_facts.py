"""Facts of an audit: the readings of a pass as plain data, for JSON, the page and the tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from npgpt._arrays import Array
from npgpt.audit._frozen_norm import Float64
from npgpt.audit._head_summary import HeadSummary, outstanding_heads
from npgpt.audit._logit_lens import NO_RANK, LensReading
from npgpt.audit._next_token import NO_TOKEN, Ids
from npgpt.audit.report._readings import Predictions, Readings, TargetAttribution, read
from npgpt.audit.report._recording import Recording
from npgpt.audit.report._verdict import verdict
from npgpt.audit.sites import Site

Name = Callable[[int], str]


def gather(of: Recording, plain: Array) -> dict[str, Any]:
    """`facts` of all readings of a pass; plain: its logits with nothing recorded."""
    return facts(of, read(of, plain))


def facts(of: Recording, readings: Readings) -> dict[str, Any]:
    """All readings of a pass as plain data. Information is in nats, throughout.

    - tokens: id, text, nats, rank and probability of each (None of the first, which nothing
      predicts; the rank also where logits are NaN), and the `LISTED` likeliest in its place.
    - mean_nats: their mean, None of one token.
    - next: the likeliest after the last, none where its logits are NaN.
    - verified: as `verdict` gives it.
    - logit_lens: depth by depth, position by position, the likeliest tokens; none where
      logits are NaN.
    - heads: to_previous, to_first, entropy (nats), each averaged over all queries but the first,
      and induction; striking: the three heads that are highest in each, or lowest in entropy.
    - attribution: what each part adds to the logit of each token that came, at the position before
      it, and to that of the likeliest next token at the last position.
    - non_finite: activations with NaN or infinity, and how many. weights: `weights_report`.
    """
    return {
        **_predicted(readings.predictions, of),
        "verified": verdict(readings.error_ratios, same=readings.same_logits),
        "logit_lens": _lens(readings.lens, of.name),
        "heads": _heads(readings.heads),
        "striking": {
            kind: [_head(site) | {"value": value} for site, value in heads]
            for kind, heads in outstanding_heads(readings.heads).items()
        },
        "attribution": _attribution(readings.attribution, of.name),
        "non_finite": [
            {"name": name, "layer": layer, "count": count}
            for (name, layer), count in readings.non_finite.items()
        ],
        "weights": dataclasses.asdict(readings.weights),
    }


def likely(ids: Ids, probabilities: Float64, name: Name) -> list[dict[str, Any]]:
    """The likeliest tokens after one position, none where its logits are NaN: (k,)."""
    return [
        {"id": token, "text": name(token), "probability": probability}
        for token, probability in zip(ids.tolist(), probabilities.tolist(), strict=True)
        if token != NO_TOKEN
    ]


def _predicted(of_tokens: Predictions, of: Recording) -> dict[str, Any]:
    ids, nats = of.tokens[0].tolist(), of_tokens.nats.tolist()
    ranks = [None if rank == NO_RANK else rank for rank in of_tokens.ranks.tolist()]
    *instead, after = [
        likely(top, shares, of.name)
        for top, shares in zip(of_tokens.top_tokens, of_tokens.probabilities, strict=True)
    ]
    tokens = [
        {
            "id": token,
            "text": of.name(token),
            "nats": surprisal if position else None,
            "rank": rank,
            "probability": float(np.exp(-surprisal)) if position else None,
            "likeliest": others,
        }
        for position, (token, surprisal, rank, others) in enumerate(
            zip(ids, nats, ranks, [[], *instead], strict=True)
        )
    ]
    mean = sum(nats[1:]) / len(nats[1:]) if nats[1:] else None
    return {"tokens": tokens, "mean_nats": mean, "next": after}


def _lens(lens: LensReading, name: Name) -> list[dict[str, Any]]:
    return [
        {
            "depth": depth,
            "positions": [
                likely(ids, shares, name) for ids, shares in zip(top, probabilities, strict=True)
            ],
        }
        for depth, top, probabilities in zip(
            lens.depths, lens.top_tokens, lens.probabilities, strict=True
        )
    ]


def _heads(summary: HeadSummary) -> list[dict[str, Any]]:
    kinds = [field.name for field in dataclasses.fields(summary)]
    return [
        _head(Site("head_out", layer, (("head", head),)))
        | {kind: float(getattr(summary, kind)[layer, head]) for kind in kinds}
        for layer, head in np.ndindex(summary.entropy.shape)
    ]


def _head(site: Site) -> dict[str, Any]:
    return {"part": str(site), "layer": site.layer, "head": dict(site.at)["head"]}


def _attribution(attribution: TargetAttribution, name: Name) -> dict[str, Any]:
    by_position = [
        attribution.parts.parts(position) for position in range(len(attribution.targets))
    ]
    return {
        "targets": [{"id": token, "text": name(token)} for token in attribution.targets.tolist()],
        "logit": attribution.logits.tolist(),
        "sum": attribution.parts.total[0].tolist(),
        "parts": [
            {
                "part": str(parts[0].site),
                "kind": parts[0].kind,
                "layer": parts[0].site.layer,
                "head": dict(parts[0].site.at).get("head"),
                "values": [part.value for part in parts],
            }
            for parts in zip(*by_position, strict=True)
        ],
    }
