"""Readings of a recorded pass: what `npgpt audit` computes, as dataclasses with arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt.audit import _attribution as attribution
from npgpt.audit import _frozen_norm as frozen_norm
from npgpt.audit import _weights_report as weights_report
from npgpt.audit._attribution import Attribution
from npgpt.audit._frozen_norm import Float64
from npgpt.audit._head_summary import HeadSummary, summarise_heads
from npgpt.audit._logit_lens import NO_RANK, LensReading, read_lens
from npgpt.audit._next_token import Ids, likeliest
from npgpt.audit._token_surprisal import rank, surprisal
from npgpt.audit._verification import verify_pass
from npgpt.audit._weights_report import WeightsReport
from npgpt.audit.report._recording import Recording
from npgpt.trace import Key

LISTED = 5  # likeliest tokens of each prediction


@dataclass(frozen=True, eq=False)
class Predictions:
    """How each token of a text was predicted, and what was likely after it.

    nats (n,): surprisal, NaN of the first token, which nothing predicts. ranks (n,): `NO_RANK`
    there, and where logits are NaN. top_tokens and probabilities (n, k): the likeliest after each
    token, as `next_token.likeliest` gives them.
    """

    nats: Float64
    ranks: Ids
    top_tokens: Ids
    probabilities: Float64


@dataclass(frozen=True, eq=False)
class TargetAttribution:
    """The parts of the logit of what came next, at each position, and of the likeliest at the last.

    targets and logits (n,): those tokens, and their logits.
    """

    targets: Ids
    logits: Array
    parts: Attribution


@dataclass(frozen=True, eq=False)
class Readings:
    """All readings of a pass.

    error_ratios: `verification.verify_pass`. same_logits: whether a pass with nothing recorded gave
    the same bits. non_finite: the activations with NaN or infinity, and how many.
    """

    predictions: Predictions
    error_ratios: Mapping[Key, float]
    same_logits: bool
    lens: LensReading
    heads: HeadSummary
    attribution: TargetAttribution
    non_finite: Mapping[Key, int]
    weights: WeightsReport


def read(of: Recording, plain: Array) -> Readings:
    """All readings of a pass; plain: the logits of the same pass with nothing recorded."""
    with quiet():
        return Readings(
            predictions=predictions(of),
            error_ratios=verify_pass(of.trace, of.tokens, of.parameters, of.config),
            same_logits=plain.tobytes() == of.trace["logits"].tobytes(),
            lens=read_lens(of.trace, of.tokens, of.parameters, of.config, top=LISTED),
            heads=summarise_heads(of.trace, of.tokens, of.config.n_layer),
            attribution=attribute_targets(of),
            non_finite=non_finite(of),
            weights=weights_report.report_weights(of.parameters),
        )


def predictions(of: Recording) -> Predictions:
    """Surprisal and rank of each token, and the likeliest after it."""
    logits = of.trace["logits"]
    nats = np.append(np.nan, surprisal(logits, of.tokens)[0])
    ranks = np.append(NO_RANK, rank(logits, of.tokens)[0])
    ids, shares = likeliest(logits[0], min(LISTED, of.config.vocab_size))
    return Predictions(nats, np.where(np.isnan(nats), NO_RANK, ranks), ids, shares)


def attribute_targets(of: Recording) -> TargetAttribution:
    """What each part adds to the logit of each token that came, and of the likeliest next one."""
    logits = of.trace["logits"][0]
    targets = np.append(of.tokens[0, 1:], np.argmax(logits[-1]))
    rows = frozen_norm.unembedding(of.parameters, targets[None])
    return TargetAttribution(
        targets,
        np.take_along_axis(logits, targets[:, None], axis=-1)[:, 0],
        attribution.attribute(of.trace, of.parameters, of.config, rows),
    )


def non_finite(of: Recording) -> dict[Key, int]:
    """The activations with NaN or infinity, and how many; not counted: −inf for later keys."""
    counts = {}
    for (name, layer), array in of.trace.arrays.items():
        wrong = ~np.isfinite(array)
        if name == "scores":
            wrong &= np.tri(wrong.shape[-1], dtype=bool)
        if count := int(np.count_nonzero(wrong)):
            counts[name, layer] = count
    return counts
