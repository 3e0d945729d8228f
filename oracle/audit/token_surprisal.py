"""How expected each token of a text was: logits (batch, n, vocab), tokens (batch, n)."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def surprisal(logits: Tensor, tokens: Tensor) -> Tensor:
    """-ln p of each token but the first, given those before it: (batch, n - 1).

    It is the cross entropy of a distribution with one token in it. Source: Hale 2001, "A
    Probabilistic Earley Parser as a Psycholinguistic Model".

    >>> logits = torch.tensor([[[1.0, 3.0], [1.0, 1.0]]]).log()
    >>> surprisal(logits, torch.tensor([[0, 0]])).mul(1e4).round().tolist()
    [[13863.0]]
    """
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")


def rank(logits: Tensor, tokens: Tensor) -> Tensor:
    """How many tokens were likelier than each token but the first: integers (batch, n - 1).

    It is the number of tokens less the place, in ascending order, after the last of its equals.

    >>> rank(torch.tensor([[[0.0, 2.0, 1.0, 1.0], [0.0] * 4]]), torch.tensor([[0, 2]])).tolist()
    [[1]]
    """
    ordered = logits[:, :-1].sort(-1).values
    own = logits[:, :-1].gather(-1, tokens[:, 1:, None])
    return logits.shape[-1] - torch.searchsorted(ordered, own, right=True)[..., 0]
