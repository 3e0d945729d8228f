"""What stands out in weights alone. Each takes tensors of any device and shape (..., features)."""

import torch
from torch import Tensor


def norm(tensor: Tensor) -> float:
    """The root of the sum of the squares of its finite numbers.

    >>> norm(torch.tensor([3.0, torch.nan, 4.0]))
    5.0
    """
    return float(torch.linalg.vector_norm(tensor[tensor.isfinite()].double()))


def largest(tensor: Tensor) -> float:
    """The largest magnitude of its finite numbers, 0 where there is none.

    >>> largest(torch.tensor([3.0, -torch.inf, -4.0]))
    4.0
    """
    return float(max(tensor[tensor.isfinite()].double().abs().tolist(), default=0.0))


def non_finite(tensor: Tensor) -> int:
    """How many of its numbers are infinite or none.

    >>> non_finite(torch.tensor([3.0, -torch.inf, torch.nan]))
    2
    """
    return int((tensor.isnan() | tensor.isinf()).sum())


def feature_norms(tensor: Tensor) -> Tensor:
    """The norm of each feature, an index of the last axis, over its finite numbers: (features).

    >>> feature_norms(torch.tensor([[3.0, 1.0], [4.0, torch.inf]])).tolist()
    [5.0, 1.0]
    """
    return torch.stack([_finite_norm(column) for column in tensor.double().unbind(-1)])


def _finite_norm(column: Tensor) -> Tensor:
    return torch.linalg.vector_norm(column[column.isfinite()])


def outliers(norms: Tensor, times: float) -> Tensor:
    """Which features have at least `times` the norm of the median one, and one above 0: bool.

    The median of an even number is the mean of the middle two. After Dettmers et al. 2022,
    "LLM.int8()", who say it of activations.

    >>> outliers(torch.tensor([1.0, 2.0, 12.0, 1.5]), 6.0).tolist()
    [False, False, True, False]
    """
    return (norms >= times * norms.quantile(0.5)) & (norms != 0)


def duplicated(table: Tensor) -> list[list[int]]:
    """Groups of rows that are the same, number for number, by their least index.

    >>> duplicated(torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, -0.0]]))
    [[0, 2]]
    """
    groups: dict[int, list[int]] = {}
    for index, group in enumerate(torch.unique(table, dim=0, return_inverse=True)[1].tolist()):
        groups.setdefault(group, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def untied_rows(head: Tensor, table: Tensor) -> int:
    """Of how many tokens the head's row is not the embedding's.

    >>> untied_rows(torch.eye(3), torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 1]]))
    1
    """
    return sum(not torch.equal(*rows) for rows in zip(head, table, strict=True))
