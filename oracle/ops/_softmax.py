"""Softmax and its logarithm over the last axis, defined for infinite logits too.

Both follow the limits: an entry of -inf has no mass, entries of +inf share all of it equally, and
so do the largest entries at temperature 0. Where nothing has mass (a row all -inf), softmax gives
zeros and log_softmax -inf. NaN anywhere in a row makes the row NaN.
"""

import math

import torch
from torch import Tensor


def softmax(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """exp(x_i / T) / Σ_j exp(x_j / T) over the last axis.

    Keeps shape and dtype. Raises ValueError for a temperature that is negative or NaN.

    >>> softmax(torch.tensor([0.0, 0.0, -math.inf])).tolist()
    [0.5, 0.5, 0.0]
    >>> softmax(torch.tensor([1.0, 5.0, 5.0]), temperature=0.0).tolist()
    [0.0, 0.5, 0.5]
    """
    scores, possible = _scores(logits, temperature)
    return torch.where(possible, torch.softmax(scores, -1), 0)


def log_softmax(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """x_i / T - log Σ_j exp(x_j / T) over the last axis.

    Keeps shape and dtype. Raises ValueError for a temperature that is negative or NaN.

    >>> [round(y, 4) for y in log_softmax(torch.tensor([2.0, 2.0, -math.inf])).tolist()]
    [-0.6931, -0.6931, -inf]
    """
    scores, possible = _scores(logits, temperature)
    return torch.where(possible, torch.log_softmax(scores, -1), -math.inf)


def _scores(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(x - max x) / T or its limit, never +inf, and for each row whether anything has mass."""
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature!r}; give a number, 0 or more")
    if not logits.shape[-1]:
        return logits, torch.ones_like(logits, dtype=torch.bool)
    # A constant taken off every entry changes nothing, so no gradient need pass through it.
    top = logits.detach().amax(-1, keepdim=True)
    level = torch.where(logits == top, 0, -math.inf).to(logits.dtype)
    possible = top != -math.inf
    if temperature < torch.finfo(logits.dtype).tiny:  # zero, or so near that 0 / T would be 0 / 0
        return level, possible
    # In each case the step that cannot overflow comes first.
    if temperature > 1:
        below = logits / temperature - top / temperature
        below = torch.where(logits == -math.inf, logits, below)
    else:
        below = (logits - top) / temperature
    return torch.where(top.isinf(), level, below), possible
