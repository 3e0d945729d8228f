"""What honest rounding may decide: a choice, a filtered set, a draw, scores being within an error.

Verdicts on single decisions, given the reference's scores and how far they may be off.
"""

import numpy as np

from oracle.bounds._rounding import gamma
from oracle.conformance._check import MATCH, MISMATCH, TIE


def working(dtype: str) -> str:
    """What processing of scores and decoding are held to where the model claims this dtype.

    Both start from float64 numbers; even models in float16 have theirs decoded in float32.

    >>> working("float64"), working("bfloat16")
    ('float64', 'float32')
    """
    return "float64" if dtype == "float64" else "float32"


def chosen(scores: np.ndarray, token: int, allowed: float) -> str:
    """A greedy choice by the reference's scores (vocab,), each known within `allowed`.

    >>> [chosen(np.array([1.0, 3.0, 2.9, -np.inf]), token, 0.1) for token in range(4)]
    ['mismatch', 'match', 'tie', 'mismatch']
    """
    if token == scores.argmax():
        return MATCH
    return TIE if scores.max() - scores[token] < 2 * allowed else MISMATCH


def undecided(
    scores: np.ndarray, allowed: float, *, k: int | None = None, p: float | None = None
) -> np.ndarray:
    """Which tokens top_k and then top_p may either keep or drop, scores being within `allowed`.

    scores (vocab,) float64, as they stand before the filters. A token is decided only if it stays,
    or goes, whatever the errors are. Sums are off by as many roundings as they have terms.

    >>> scores = np.log([0.4, 0.3, 0.2999, 0.0001])
    >>> undecided(scores, 0.001, k=1).tolist(), undecided(scores, 0.001, k=2).tolist()
    ([False, False, False, False], [False, True, True, False])
    >>> undecided(np.log([0.5, 0.3, 0.2]), 1e-9, p=0.8).tolist()
    [False, False, True]
    """
    apart, order = 2 * allowed, np.argsort(-scores)
    falling = -scores[order]
    # How many tokens surely stand before each one, and how many may stand there, itself included.
    first = np.searchsorted(falling, -scores - apart, side="left")
    last = np.searchsorted(falling, -scores + apart, side="right")
    possible, k = scores > -np.inf, k or len(scores)
    surely, maybe = possible & (last <= k), possible & (first < k)
    if p is None or p == 1:
        return maybe & ~surely
    error = relative_error(allowed, len(scores))
    weights = np.exp(scores - scores.max())
    least, most = np.where(surely, weights, 0) / (1 + error), np.where(maybe, weights, 0)
    most = most * (1 + error)
    before_least = np.concatenate([[0], np.cumsum(least[order])])[first]
    before_most = np.concatenate([[0], np.cumsum(most[order])])[last] - most
    # The likeliest stays, however small p is.
    stays = surely & ((before_most < p * least.sum()) | (last == 1))
    goes = ~maybe | (before_least >= p * most.sum())
    return ~(stays | goes)


def relative_error(allowed: float, terms: int, dtype: str = "float64") -> float:
    """How far off, relatively, exp of a score within `allowed` is, and a sum of such `terms`."""
    return float(np.expm1(2 * allowed)) + gamma(terms + 8, dtype)


def drawn(
    scores: np.ndarray, token: int, uniform: float, allowed: float, *, moved: float = 0.0
) -> str:
    """A draw by inverse CDF from softmax of the reference's filtered scores (vocab,).

    `moved` is the share of the tokens that the filters may keep or drop: it may shift all others.

    >>> scores = np.log([0.5, 0.25, 0.25])
    >>> [drawn(scores, token, 0.499999, 1e-5) for token in range(3)]
    ['match', 'tie', 'mismatch']
    """
    weights = np.exp(scores - scores.max())
    edges = np.concatenate([[0], np.cumsum(weights)]) / weights.sum()
    if edges[token] <= uniform < edges[token + 1]:
        return MATCH
    slack = relative_error(allowed, len(scores)) + moved
    return TIE if edges[token] - slack <= uniform <= edges[token + 1] + slack else MISMATCH
