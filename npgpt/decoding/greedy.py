"""Greedy decoding: always the likeliest token."""

from npgpt.arrays import Array


def likeliest(scores: Array) -> int:
    """`argmaxᵢ zᵢ` of scores (vocab,); among equals the lowest id.

    >>> import numpy as np
    >>> likeliest(np.array([1.0, 3.0, 3.0]))
    1
    """
    return int(scores.argmax())
