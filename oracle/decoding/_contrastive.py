"""Contrastive search: likely tokens whose hidden state is unlike those before.

Source: Su et al. 2022, "A Contrastive Framework for Neural Text Generation",
https://arxiv.org/abs/2202.06417, equation 5.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from oracle.decoding._generation import Generation
from oracle.decoding._language_model import LanguageModel, next_scores
from oracle.decoding._pipeline import gain, process
from oracle.decoding._rows import Row, Settings
from oracle.decoding._stepwise import Decision, Run, TextOf, generation
from oracle.ops._softmax import softmax


def contrastive_search(
    language_model: LanguageModel,
    rows: Sequence[Row],
    settings: Settings,
    *,
    text_of: TextOf | None = None,
) -> Generation:
    """argmax over the top k of (1 - α) p(v) - α max_j cos(h_v, h_j), j over the row so far.

    Equals in order of score, then of id.
    """
    runs = [Run(row, "length" if len(row.tokens) >= row.limit else None) for row in rows]
    while live := [run for run in runs if run.stopped is None]:
        decisions = decide(language_model, [run.row for run in live], settings)
        for run, decision in zip(live, decisions, strict=True):
            run.take(decision, settings, text_of)
    return generation(runs)


def decide(
    language_model: LanguageModel, rows: Sequence[Row], settings: Settings
) -> list[Decision]:
    """What contrastive search puts after each row."""
    k, alpha = settings["top_k"], settings["penalty_alpha"]
    logprobs, scores = next_scores(language_model, rows, settings, beams=False)
    scores, _ = process(settings, rows, scores)
    values, order = torch.sort(scores, dim=1, descending=True, stable=True)
    share = softmax(scores).gather(1, order)
    possible = (values > -math.inf).sum(1).tolist()
    tops = [order[i, : min(k, n)].tolist() for i, n in enumerate(possible)]
    tried = [row.then(v).tokens for row, top in zip(rows, tops, strict=True) for v in top]
    hidden = iter(language_model.hidden_of(tried) if tried else [])
    decisions = []
    for i, (row, top) in enumerate(zip(rows, tops, strict=True)):
        if not top:
            decisions.append(Decision(-1, -math.inf, scores[i].cpu(), math.inf))
            continue
        alike = torch.stack([nearest_cosine(next(hidden).double()) for _ in top])
        worth = (1 - alpha) * share[i, : len(top)] - alpha * alike.to(share)
        best = worth.tolist().index(worth.max().item())
        by = gain(settings, len(row.generated), sampling=False, beams=False)
        rest = [(worth[best] - w).item() for j, w in enumerate(worth) if j != best]
        margin = min(rest, default=math.inf) / ((1 - alpha) * by + 4 * alpha)
        if possible[i] > len(top):
            cut = (values[i, len(top) - 1] - values[i, len(top)]).item()
            margin = min(margin, cut / (2 * by))
        token = top[best]
        decisions.append(Decision(token, logprobs[i, token].item(), scores[i].cpu(), margin))
    return decisions


def nearest_cosine(hidden: Tensor) -> Tensor:
    """The largest cosine between the last state and an earlier one; 0 with a zero vector.

    hidden: (length, embd), length at least 2; a scalar.

    >>> nearest_cosine(torch.tensor([[3.0, 0.0], [0.0, 0.0], [-1.0, 1.0], [0.0, 2.0]])).item()
    0.7071067690849304
    """
    norms = hidden.norm(dim=1, keepdim=True)
    units = torch.where(norms > 0, hidden / norms, 0)
    return (units[:-1] @ units[-1]).max()
