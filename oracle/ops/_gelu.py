"""The Gaussian error linear unit, and the approximation of it that GPT-2 was trained with."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def gelu(x: Tensor) -> Tensor:
    """x Φ(x), with Φ the distribution function of the standard normal distribution.

    Elementwise; keeps shape and dtype. Source: Hendrycks and Gimpel 2016,
    https://arxiv.org/abs/1606.08415

    >>> import torch
    >>> [round(y, 4) for y in gelu(torch.tensor([-1.0, 0.0, 1.0])).tolist()]
    [-0.1587, 0.0, 0.8413]
    """
    # F.gelu has an erf of its own, which in float32 with AVX-512 is off by more than 5 units in the
    # last place of 1; erf alone is off by less than one. Narrower numbers go the same way as there.
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return (wide / 2 * (1 + torch.erf(wide * math.sqrt(0.5)))).to(x.dtype)


def gelu_new(x: Tensor) -> Tensor:
    """x/2 (1 + tanh(sqrt(2/π) (x + 0.044715 x³))), the tanh approximation in the same paper.

    Elementwise; keeps shape and dtype.

    >>> import torch
    >>> [round(y, 4) for y in gelu_new(torch.tensor([-1.0, 0.0, 1.0])).tolist()]
    [-0.1588, 0.0, 0.8412]
    """
    return F.gelu(x, approximate="tanh")
