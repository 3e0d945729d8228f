"""Layer normalisation."""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias, over the last axis.

    The variance is the biased one (divided by the width). x: (..., embd); weight, bias: (embd,);
    returns x's shape and dtype. Source: Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450

    >>> import torch
    >>> layer_norm(torch.tensor([1.0, 3.0]), torch.ones(2), torch.tensor([0.0, 10.0]), eps=0.0)
    tensor([-1., 11.])
    """
    return F.layer_norm(x, (x.shape[-1],), weight, bias, eps)
