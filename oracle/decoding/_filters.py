"""The filters of sampling: which tokens may be drawn, and how narrowly that was decided.

Each takes scores, float64 (rows, vocab), whose softmax is p, and gives `kept`, bool (rows, vocab),
and `slack`, (rows,): while no score moves by as much as slack, the same tokens are kept. `least`
tokens, the first in the filter's own order, are kept in any case. Tokens of p = 0 do not matter.

Slack rests on three facts about scores that move by at most e each. The difference of two moves by
2e. The log-odds log(P / (1 - P)) of any set's probability move by 2e. The entropy of n tokens moves
by 2e·log n, its slope being Σ p |log p + H| <= 2H. What only looks at sorted scores moves no more,
whichever tokens trade places, since sorting moves no value by more than e.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from oracle.ops._softmax import log_softmax, softmax

Filtered = tuple[Tensor, Tensor]


def top_k(scores: Tensor, k: int, *, least: int = 1) -> Filtered:
    """Keep scores that are at least the k-th largest: all of those that tie with it.

    >>> top_k(torch.tensor([[3.0, 1.0, 2.0, 2.0]]), 2)[0].tolist()
    [[True, False, True, True]]
    """
    values, _ = _falling(scores)
    k = min(max(k, least), scores.shape[1])
    return scores >= values[:, k - 1 : k], _gap(values, torch.full_like(scores[:, 0], k)) / 2


def top_p(scores: Tensor, p: float, *, least: int = 1) -> Filtered:
    """Keep the fewest most probable tokens whose sum reaches p; equals in order of id.

    Source: Holtzman et al. 2019, https://arxiv.org/abs/1904.09751, section 3.1.

    >>> top_p(torch.tensor([[0.3, 0.5, 0.2]]).log(), 0.6)[0].tolist()
    [[True, True, False]]
    """
    values, order = _falling(scores)
    share = softmax(values)
    kept = _before(share) < p
    kept[:, :least] = True
    slack = _nearest(_odds(share), log_odds(p)) / 2
    return _unsort(kept, order), torch.minimum(slack, _gap(values, kept.sum(1)) / 2)


def top_h(scores: Tensor, alpha: float, *, least: int = 1) -> Filtered:
    """Keep the most probable tokens, as many as have an entropy of at most alpha · H(p).

    Entropy of the kept ones among themselves, renormalised; it grows with every token.
    Source: Baghaei Potraghloo et al. 2025, "Top-H Decoding", https://arxiv.org/abs/2509.02510.

    >>> top_h(torch.tensor([[0.5, 0.25, 0.25]]).log(), 0.65)[0].tolist()  # ln 2 · (0, 0.92, 1.5)
    [[True, True, False]]
    """
    values, order = _falling(scores)
    share = softmax(values)
    mass = share.cumsum(1)
    entropies = mass.log() + torch.special.entr(share).cumsum(1) / mass
    allowed = alpha * _entropy(scores)[:, None]
    kept = (entropies <= allowed).cumprod(1).bool()
    kept[:, :least] = True
    possible = values > -math.inf
    gaps = torch.where(possible, (entropies - allowed).abs(), math.inf)[:, 1:]
    moves = 2 * (1 + alpha) * possible.sum(1).log()
    slack = _smallest(gaps) / moves
    return _unsort(kept, order), torch.minimum(slack, _gap(values, kept.sum(1)) / 2)


def min_p(scores: Tensor, share: float, *, least: int = 1) -> Filtered:
    """Drop p < share · max p.

    Source: Nguyen et al. 2024, https://arxiv.org/abs/2407.01082, section 3.

    >>> min_p(torch.tensor([[0.6, 0.3, 0.1]]).log(), 0.4)[0].tolist()
    [[True, True, False]]
    """
    p = softmax(scores)
    values, _ = _falling(scores)
    slack = _nearest(values[:, 1:] - values[:, :1], math.log(share)) / 2
    return _at_least(scores, p >= share * p.amax(1, keepdim=True), slack, least)


def typical_p(scores: Tensor, mass: float, *, least: int = 1) -> Filtered:
    """Keep the tokens nearest to the entropy in |-log p - H|, till their sum reaches `mass`.

    Equals in order of id. Source: Meister et al. 2022, https://arxiv.org/abs/2202.00666, section 4.

    >>> typical_p(torch.tensor([[0.5, 0.3, 0.2]]).log(), 0.3)[0].tolist()  # H = 1.03
    [[False, True, False]]
    """
    entropy = _entropy(scores)
    distance = (-log_softmax(scores) - entropy[:, None]).abs()
    distance, order = torch.sort(distance, dim=1, stable=True)
    share = softmax(scores).gather(1, order)
    kept = _before(share) < mass
    kept[:, :least] = True
    number = kept.sum(1)
    moves = 2 + 2 * (scores > -math.inf).sum(1).log()
    slack = _nearest(_odds(share), log_odds(mass)) / 2
    for count in (number - 1, number):
        slack = torch.minimum(slack, _gap(-distance, count) / (2 * moves))
    return _unsort(kept, order), slack


def epsilon_cutoff(scores: Tensor, epsilon: float, *, least: int = 1) -> Filtered:
    """Drop p < epsilon.

    Source: Hewitt et al. 2022, https://arxiv.org/abs/2210.15191, section 3.

    >>> epsilon_cutoff(torch.tensor([[0.6, 0.3, 0.1]]).log(), 0.2)[0].tolist()
    [[True, True, False]]
    """
    p = softmax(scores)
    odds = p.log() - (-p).log1p()
    slack = _nearest(odds, log_odds(epsilon)) / 2
    return _at_least(scores, p >= epsilon, slack, least)


def eta_cutoff(scores: Tensor, epsilon: float, *, least: int = 1) -> Filtered:
    """Drop p < min(epsilon, sqrt(epsilon) · exp(-H)).

    Source: Hewitt et al. 2022, https://arxiv.org/abs/2210.15191, section 4.

    >>> eta_cutoff(torch.tensor([[0.6, 0.3, 0.1]]).log(), 0.2)[0].tolist()  # H = 0.9: 0.18
    [[True, True, False]]
    """
    entropy = _entropy(scores)[:, None]
    edge = (math.sqrt(epsilon) * (-entropy).exp()).clamp(max=epsilon)
    moves = 2 + 2 * (scores > -math.inf).sum(1).log()
    slack = _smallest((log_softmax(scores) - edge.log()).abs()) / moves
    return _at_least(scores, softmax(scores) >= edge, slack, least)


# In the order in which they act.
FILTERS: dict[str, Callable[..., Filtered]] = {
    "top_h": top_h,
    "top_k": top_k,
    "top_p": top_p,
    "min_p": min_p,
    "typical_p": typical_p,
    "epsilon_cutoff": epsilon_cutoff,
    "eta_cutoff": eta_cutoff,
}
# Of each, the value at which it is off, and values worth trying, the first ones most telling.
OFF = {
    "top_h": 1,
    "top_k": 0,
    "top_p": 1,
    "min_p": 0,
    "typical_p": 1,
    "epsilon_cutoff": 0,
    "eta_cutoff": 0,
}
WORTH_TRYING: dict[str, tuple[float, ...]] = {
    "top_h": (0.5, 0.9, 0.1),
    "top_k": (1, 2, 3, 4),
    "top_p": (0.5, 0.75, 0.9, 0.1),
    "min_p": (0.5, 0.1, 1.0),
    "typical_p": (0.5, 0.9, 0.1),
    "epsilon_cutoff": (0.25, 0.1, 0.6),
    "eta_cutoff": (0.25, 0.1, 0.6),
}


def log_odds(p: float) -> float:
    """log(p / (1 - p)), with its limits at 0 and 1.

    >>> log_odds(0.5), log_odds(0.0), log_odds(1.0)
    (0.0, -inf, inf)
    """
    if p in (0, 1):
        return math.inf if p else -math.inf
    return math.log(p) - math.log1p(-p)


def _falling(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores from largest to smallest, equals in order of id, and the ids in that order."""
    return torch.sort(scores, dim=1, descending=True, stable=True)


def _unsort(kept: Tensor, order: Tensor) -> Tensor:
    return torch.zeros_like(kept).scatter(1, order, kept)


def _before(share: Tensor) -> Tensor:
    """The sum of all before each place."""
    return torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(1)[:, :-1]], 1)


def _odds(share: Tensor) -> Tensor:
    """log(P / (1 - P)), P the sum up to each place. 1 - P is summed, lest it cancels."""
    return share.cumsum(1).log() - _before(share.flip(1)).flip(1).log()


def _nearest(found: Tensor, edge: float) -> Tensor:
    """The least distance from `edge`; what is infinite stays where it is."""
    return _smallest(torch.where(found.isinf(), math.inf, (found - edge).abs()))


def _smallest(gaps: Tensor) -> Tensor:
    return torch.cat([gaps, gaps.new_full((len(gaps), 1), math.inf)], 1).amin(1)


def _gap(values: Tensor, count: Tensor) -> Tensor:
    """What lies between the first `count` of falling values and the next; inf where none is."""
    ends = torch.full_like(values[:, :1], math.inf), torch.full_like(values[:, :1], -math.inf)
    bounded = torch.cat([ends[0], values, ends[1]], 1)
    count = count.long()[:, None]
    inside, outside = bounded.gather(1, count)[:, 0], bounded.gather(1, count + 1)[:, 0]
    return torch.where(outside == -math.inf, math.inf, inside - outside)


def _entropy(scores: Tensor) -> Tensor:
    return torch.special.entr(softmax(scores)).sum(1)


def _at_least(scores: Tensor, kept: Tensor, slack: Tensor, least: int) -> Filtered:
    """The `least` most probable ones kept too, and how narrowly they were these."""
    values, order = _falling(scores)
    first = torch.zeros_like(kept)
    first[:, :least] = True
    first = _unsort(first, order)
    gap = _gap(values, torch.full_like(slack, min(least, scores.shape[1]))) / 2
    return kept | first, torch.where((first & ~kept).any(1), torch.minimum(slack, gap), slack)
