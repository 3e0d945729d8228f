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


def deviation(x: Tensor, *, eps: float = 1e-5) -> Tensor:
    """What layer_norm divides by, sqrt(variance + eps): (..., embd) to (..., 1).

    >>> import torch
    >>> deviation(torch.tensor([1.0, 5.0]), eps=0.0)
    tensor([2.])
    """
    return (x.var(-1, correction=0, keepdim=True) + eps).sqrt()


def divided(x: Tensor, scale: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(x - mean) / scale * weight + bias: layer_norm with its divisor given, so linear in x - mean.

    x: (..., embd); scale: (..., 1); weight, bias: (embd,); returns x's shape and dtype.

    >>> import torch
    >>> divided(torch.tensor([1.0, 3.0]), torch.tensor([0.5]), torch.ones(2), torch.zeros(2))
    tensor([-2.,  2.])
    """
    return (x - x.mean(-1, keepdim=True)) / scale * weight + bias
