"""Choosing one token of each row, and how narrowly it was chosen."""

import math

import torch
from torch import Tensor


def highest(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The token of the highest score in each row, the lowest id among equals, and its slack.

    scores: (rows, vocab). The token is -1 where all are ruled out. While no score moves by as much
    as the slack, (rows,), the choice stays.

    >>> token, slack = highest(torch.tensor([[0.0, 5.0, 3.0, -math.inf], [-math.inf] * 4]))
    >>> token.tolist(), slack.tolist()
    ([1, -1], [1.0, inf])
    """
    values = torch.sort(scores, dim=1, descending=True).values
    tokens = torch.arange(scores.shape[1], device=scores.device)
    best = torch.where(scores == values[:, :1], tokens, scores.shape[1]).amin(1)
    none = values[:, 0] == -math.inf
    if scores.shape[1] == 1:
        return torch.where(none, -1, best), torch.full_like(values[:, 0], math.inf)
    gap = torch.where(values[:, 1] == -math.inf, math.inf, values[:, 0] - values[:, 1])
    return torch.where(none, -1, best), gap / 2


def draw(scores: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Draw from softmax(scores) of each row: the first token whose share, summed by id, passes u.

    scores: float64 (rows, vocab); uniforms: (rows,), 0 <= u < 1. Tokens of no mass are never drawn;
    the token is -1 where all are ruled out. While no score moves by as much as the slack, (rows,),
    the draw stays: the log-odds of an edge between two shares move by twice that.

    >>> draw(torch.tensor([[0.25, 0.5, 0.25]]).double().log(), torch.tensor([0.25]))[0].tolist()
    [1]
    """
    top = scores.amax(1, keepdim=True)
    none = top[:, 0] == -math.inf
    mass = torch.where(none[:, None], 0, (scores - top).exp())
    total = mass.sum(1, keepdim=True)
    share = torch.where(none[:, None], 0, mass / total)
    u = uniforms.to(scores)[:, None]
    tokens = torch.arange(scores.shape[1], device=scores.device)
    reached = share.cumsum(1)
    # Rounding may leave the last sum below u, so the last token with mass takes what is left.
    last = torch.where(mass > 0, tokens, -1).amax(1)
    first = torch.where((reached > u) & (mass > 0), tokens, scores.shape[1]).amin(1)
    return torch.where(none, -1, torch.minimum(first, last)), _slack(share, u)


def _slack(share: Tensor, u: Tensor) -> Tensor:
    """Half the least distance in log-odds of u from an edge, u having been off by rounding."""
    before = torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(1)[:, :-1]], 1)
    behind = share.flip(1).cumsum(1).flip(1)  # summed, not 1 - before, lest it cancels
    edges = before.log() - behind.log()
    rounding = share.shape[1] * 2.0**-52
    low, high = torch.logit((u - rounding).clamp(min=0)), torch.logit((u + rounding).clamp(max=1))
    apart = torch.maximum(low - edges, edges - high).clamp(min=0)
    inner = (before > 0) & (behind > 0)
    return torch.where(inner, apart, math.inf).amin(1) / 2
