"""Top-H, typical and eta sampling: filters that look at the distribution's entropy, in nats.

With `w = exp(z − max z)` and `T = Σ w`, the entropy is `H = log T + Σ w (max z − z) / T`.
"""

import math

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt.decoding._processors.filters import nucleus
from npgpt.decoding._processors.masks import keep_only, top_mask, unsorted
from npgpt.decoding._scoring import gaps, mean_gap, relative_probabilities, weighted


def top_h(scores: Array, *, alpha: float, min_tokens_to_keep: int = 1) -> Array:
    """−∞ outside the longest prefix of likeliest tokens with `H(q) ≤ α · H(p)`.

    (rows, vocab) -> (rows, vocab), dtype kept; 0 < α ≤ 1, 1 keeps everything. q is p within the
    prefix, divided by its mass there; equals are taken in order of id. H(q) grows with each token,
    so the prefix is well defined; at least `min_tokens_to_keep` tokens stay.

    Source: Baghaei Potraghloo et al. 2025, "Top-H Decoding", section 4, arXiv 2509.02510.

    >>> import numpy as np
    >>> top_h(np.zeros((1, 4)), alpha=0.6)
    array([[  0.,   0., -inf, -inf]])
    """
    if alpha == 1:
        return scores
    order = np.argsort(-scores, axis=-1, kind="stable")
    weight, gap = (
        np.take_along_axis(of(scores), order, axis=-1) for of in (relative_probabilities, gaps)
    )
    # The likeliest has weight 1 and gap 0. Summed without it, small masses keep their digits.
    others = np.zeros(weight.shape)
    np.cumsum(weight[:, 1:], axis=-1, out=others[:, 1:])
    entropy = np.log1p(others) + np.cumsum(weighted(weight, gap), axis=-1) / (1 + others)
    # Where the mass has underflowed the entropy no longer grows, and no more belong to the prefix.
    stays = (entropy <= alpha * entropy[:, -1:]) & (weight > 0)
    stays[:, :min_tokens_to_keep] = True
    return keep_only(scores, unsorted(order, stays))


def typical_p(scores: Array, *, mass: float, min_tokens_to_keep: int = 1) -> Array:
    """−∞ outside the smallest set of most typical tokens with that mass or more.

    (rows, vocab) -> (rows, vocab), dtype kept; 0 < mass ≤ 1, 1 keeps everything. Sorted by
    `|−log pᵢ − H|`, equals by score and then by id, a token stays if those before it sum to less
    than `mass`. The first `min_tokens_to_keep` of this order, the most typical ones, stay in any
    case.

    Source: Meister et al. 2022, "Locally Typical Sampling", section 4.

    >>> import numpy as np
    >>> typical_p(np.log([[0.5, 0.25, 0.125, 0.125]]), mass=0.25).round(4)
    array([[   -inf, -1.3863,    -inf,    -inf]])
    """
    if mass == 1:
        return scores
    with quiet():
        far = np.abs(gaps(scores) - mean_gap(scores))
    order = np.lexsort((-scores, far), axis=-1)
    weight = np.take_along_axis(relative_probabilities(scores), order, axis=-1)
    return keep_only(scores, unsorted(order, nucleus(weight, mass, min_tokens_to_keep)))


def eta_cutoff(scores: Array, *, epsilon: float, min_tokens_to_keep: int = 1) -> Array:
    """−∞ for each token with `pᵢ < min(ε, √ε · exp(−H))`: (rows, vocab) -> the same, dtype kept.

    Source: Hewitt et al. 2022, "Truncation Sampling as Language Model Desmoothing", section 4.2.

    >>> import numpy as np
    >>> eta_cutoff(np.log([[0.5, 0.25, 0.125, 0.125]]), epsilon=0.49).round(4)
    array([[-0.6931, -1.3863,    -inf,    -inf]])
    """
    weight = relative_probabilities(scores)
    with quiet():
        above_epsilon = weight / weight.sum(axis=-1, keepdims=True) >= epsilon
        # exp(−H) = exp(−mean gap) / T, and p = w / T: so T cancels.
        above_eta = weight >= math.sqrt(epsilon) * np.exp(-mean_gap(scores))
    keep = above_epsilon | above_eta | top_mask(scores, min_tokens_to_keep)
    return keep_only(scores, keep)
