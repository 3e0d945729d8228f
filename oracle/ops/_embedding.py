"""Looking up rows of a table."""

from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def embedding(ids: Tensor, weight: Tensor) -> Tensor:
    """Rows of `weight`: out[..., :] = weight[ids[...], :].

    ids: integers of any shape; weight: (row, embd); returns ids.shape + (embd,), of weight's
    dtype. Raises ValueError for an id outside 0..row-1 (not on the meta device, whose tensors
    hold no values).

    >>> import torch
    >>> embedding(torch.tensor([2, 0]), torch.tensor([[1.0], [2.0], [3.0]])).tolist()
    [[3.0], [1.0]]
    """
    rows = weight.shape[0]
    if not ids.is_meta and ids.numel():
        low, high = (int(i) for i in ids.aminmax())
        if low < 0 or high >= rows:
            raise ValueError(f"id {low if low < 0 else high} is outside the table, 0..{rows - 1}")
    return F.embedding(ids, weight)
