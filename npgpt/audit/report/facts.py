"""What a recorded pass shows, as plain data: what `npgpt audit` prints, and what its page draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from npgpt.arrays import Array
from npgpt.audit import attribution, frozen_norm, weights_report
from npgpt.audit.report.checks import non_finite, verified
from npgpt.audit.report.heads import striking, summaries
from npgpt.audit.report.one_pass import Pass
from npgpt.audit.report.predictions import lens, surprise


def gather(of: Pass, plain: Array) -> dict[str, Any]:
    """All readings of a pass; plain: the logits of the same pass with nothing recorded.

    - tokens: id, text, nats, rank and probability of each (None of the first, which nothing
      predicts; the rank also where logits are NaN), and the `LISTED` likeliest in its place.
    - mean_nats: their mean, None of one token.
    - next: the likeliest after the last, none where its logits are NaN.
    - verified: as `verified` gives it.
    - logit_lens: depth by depth, position by position, the likeliest tokens; none where
      logits are NaN.
    - heads: to_previous, to_first, entropy (nats), each averaged over all queries but the first,
      and induction; striking: the `STRIKING` heads that are highest in each, or lowest in entropy.
    - attribution: what each part adds to the logit of each token that came, at the position before
      it, and to that of the likeliest next token at the last position.
    - non_finite: activations with NaN or infinity, and how many. weights: `weights_report`.
    """
    heads = summaries(of)
    return {
        **surprise(of),
        "verified": verified(of, same=plain.tobytes() == of.trace["logits"].tobytes()),
        "logit_lens": lens(of),
        "heads": heads,
        "striking": striking(heads),
        "attribution": _attribution(of),
        "non_finite": non_finite(of),
        "weights": dataclasses.asdict(weights_report.report(of.parameters)),
    }


def parts(found: Mapping[str, Any], position: int) -> list[tuple[str, float]]:
    """The parts of an attribution, as `gather` gives it, at a position, the largest first."""
    each = [
        ("token embedding", found["token_embedding"][position]),
        ("position embedding", found["position_embedding"][position]),
        ("final norm bias", found["ln_f_bias"][position]),
    ]
    for layer, heads in enumerate(found["head"]):
        each += [(f"layer {layer} head {head}", row[position]) for head, row in enumerate(heads)]
        each += [
            (f"layer {layer} attention bias", found["attn_bias"][layer][position]),
            (f"layer {layer} MLP", found["mlp"][layer][position]),
            (f"layer {layer} MLP bias", found["mlp_bias"][layer][position]),
        ]
    return sorted(each, key=lambda part: -abs(part[1]))


def _attribution(of: Pass) -> dict[str, Any]:
    logits = of.trace["logits"][0]
    targets = np.append(of.tokens[0, 1:], np.argmax(logits[-1]))
    rows = frozen_norm.unembedding(of.parameters, targets[None])
    found = attribution.attribute(of.trace, of.parameters, of.config, rows)
    # The text is one row, and that axis, the one before the last, goes.
    fields = {
        field.name: getattr(found, field.name)[..., 0, :].tolist()
        for field in dataclasses.fields(found)
    }
    return {
        "targets": [{"id": token, "text": of.name(token)} for token in targets.tolist()],
        "logit": np.take_along_axis(logits, targets[:, None], axis=-1)[:, 0].tolist(),
        "sum": found.total[0].tolist(),
        **fields,
    }
