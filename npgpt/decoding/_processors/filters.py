"""Temperature, top-k, top-p, min-p and epsilon sampling, which know nothing of the row.

Each filter keeps at least `min_tokens_to_keep` of the likeliest tokens.
"""

import numpy as np

from npgpt._arrays import Array, Mask, quiet
from npgpt.decoding._processors.masks import keep_only, top_mask, unsorted
from npgpt.decoding._scoring import relative_probabilities


def temperature(scores: Array, *, value: float) -> Array:
    """`zᵢ / T`: (rows, vocab) -> (rows, vocab), dtype kept; T > 0.

    A row whose largest score would leave the dtype's range is first lowered by that score, which
    leaves the distribution as it is: however small T is, the likeliest tokens stay finite.

    >>> import numpy as np
    >>> temperature(np.array([[1.0, 3.0]]), value=0.5)
    array([[2., 6.]])
    """
    z = scores.astype(np.float64)
    top = z.max(axis=-1, keepdims=True)
    with quiet():
        overflows = np.isfinite(top) & ~np.isfinite((top / value).astype(scores.dtype))
        scaled: Array = (np.where(overflows, z - top, z) / value).astype(scores.dtype)
    return scaled


def top_k(scores: Array, *, k: int, min_tokens_to_keep: int = 1) -> Array:
    """−∞ for each score below the k-th largest of its row; ties with that one stay.

    (rows, vocab) -> (rows, vocab), dtype kept. A k past the vocabulary keeps everything.

    Source: Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.

    >>> import numpy as np
    >>> top_k(np.array([[3.0, 1.0, 2.0, 2.0]]), k=2)
    array([[  3., -inf,   2.,   2.]])
    """
    place = max(scores.shape[-1] - max(k, min_tokens_to_keep), 0)
    kth = np.partition(scores, place, axis=-1)[..., place, None]
    return keep_only(scores, scores >= kth)


def top_p(scores: Array, *, p: float, min_tokens_to_keep: int = 1) -> Array:
    """−∞ outside the smallest set of likeliest tokens whose probabilities sum to p or more.

    (rows, vocab) -> (rows, vocab), dtype kept; 0 < p ≤ 1. Sorted by score, equals by id, a token
    stays if those before it sum to less than p: the one that reaches p is the last to stay. Sums
    are taken in float64.

    Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.

    >>> import numpy as np
    >>> top_p(np.log([[0.25, 0.5, 0.25]]), p=0.75).round(4)
    array([[-1.3863, -0.6931,    -inf]])
    """
    if p == 1:
        return scores
    order = np.argsort(-scores, axis=-1, kind="stable")
    weight = np.take_along_axis(relative_probabilities(scores), order, axis=-1)
    return keep_only(scores, unsorted(order, nucleus(weight, p, min_tokens_to_keep)))


def min_p(scores: Array, *, share: float, min_tokens_to_keep: int = 1) -> Array:
    """−∞ for each token with `pᵢ < share · max p`: (rows, vocab) -> (rows, vocab), dtype kept.

    Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM
    Outputs", section 3.

    >>> import numpy as np
    >>> min_p(np.array([[0.0, -0.5, -1.0]]), share=0.5)
    array([[ 0. , -0.5, -inf]])
    """
    likely = relative_probabilities(scores) >= share
    return keep_only(scores, likely | top_mask(scores, min_tokens_to_keep))


def epsilon_cutoff(scores: Array, *, epsilon: float, min_tokens_to_keep: int = 1) -> Array:
    """−∞ for each token with `pᵢ < ε`: (rows, vocab) -> (rows, vocab), dtype kept.

    Source: Hewitt et al. 2022, "Truncation Sampling as Language Model Desmoothing", section 4.2.

    >>> import numpy as np
    >>> epsilon_cutoff(np.log([[0.25, 0.5, 0.125, 0.125]]), epsilon=0.2).round(4)
    array([[-1.3863, -0.6931,    -inf,    -inf]])
    """
    weight = relative_probabilities(scores)
    with quiet():
        likely = weight / weight.sum(axis=-1, keepdims=True) >= epsilon
    return keep_only(scores, likely | top_mask(scores, min_tokens_to_keep))


def nucleus(weight: Array, share: float, least: int) -> Mask:
    """True up to the token, in the order given, at which the mass reaches `share` of the whole.

    weight (rows, vocab), float64, need not sum to 1; the first `least` are True in any case.

    >>> import numpy as np
    >>> nucleus(np.array([[2.0, 1.0, 1.0]]), 0.75, 1)
    array([[ True,  True, False]])
    """
    reached = np.cumsum(weight, axis=-1)
    stays = np.ones(weight.shape, dtype=bool)
    with quiet():
        # Divided, not compared with share · total: so seven of ten equal tokens reach 0.7 exactly.
        stays[:, 1:] = reached[:, :-1] / reached[:, -1:] < share
    stays[:, :least] = True
    return stays
