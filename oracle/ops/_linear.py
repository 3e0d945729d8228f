"""An affine map."""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W + b, with W stored as GPT-2's checkpoints store it: inputs in rows, outputs in columns.

    x: (..., in); weight: (in, out); bias: (out,) or None; returns (..., out), of x's dtype.

    >>> import torch
    >>> linear(torch.tensor([1.0, 2.0]), torch.tensor([[1.0], [10.0]]), torch.tensor([5.0]))
    tensor([26.])
    """
    return F.linear(x, weight.mT, bias)
