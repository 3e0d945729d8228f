"""The activation functions that a GPT-2 configuration may name."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from oracle.ops._gelu import gelu, gelu_new


def relu(x: Tensor) -> Tensor:
    """max(x, 0), elementwise; keeps shape and dtype.

    >>> import torch
    >>> relu(torch.tensor([-2.0, 3.0])).tolist()
    [0.0, 3.0]
    """
    return F.relu(x)


def silu(x: Tensor) -> Tensor:
    """x / (1 + exp(-x)), elementwise; keeps shape and dtype.

    >>> import torch
    >>> [round(y, 4) for y in silu(torch.tensor([-1.0, 0.0, 1.0])).tolist()]
    [-0.2689, 0.0, 0.7311]
    """
    return F.silu(x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "relu": relu,
    "silu": silu,
    "swish": silu,
}
