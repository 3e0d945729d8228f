"""Taps that change a part of an activation: the whole is computed, and kept where the part is."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from oracle.ops._attention import Tap

_OF_HEADS = ("query", "key", "value", "scores", "pattern", "head_out")


def positions_axis(name: str) -> int:
    """The axis of an activation that counts queries.

    >>> positions_axis("pattern"), positions_axis("ln_f")
    (2, 1)
    """
    return 2 if name in _OF_HEADS else 1


def edited(
    name: str,
    layer: int | None,
    change: Callable[[Tensor], Tensor],
    *,
    head: int | None = None,
    position: int | None = None,
    neuron: int | None = None,
) -> Tap:
    """A tap that puts change(activation) in the place of one head, position or neuron, or of all.

    `change` gives what repeats to the activation's shape.

    >>> tap = edited("mlp_post", 0, lambda x: 9 * x, position=1, neuron=0)
    >>> tap("mlp_post", 0, torch.ones(1, 2, 3)).tolist()
    [[[1.0, 1.0, 1.0], [9.0, 1.0, 1.0]]]
    """
    asked = ((1, head), (positions_axis(name), position), (2, neuron))
    at = [(axis, index) for axis, index in asked if index is not None]

    def tap(seen: str, seen_layer: int | None, tensor: Tensor) -> Tensor:
        if (seen, seen_layer) != (name, layer):
            return tensor
        chosen = torch.ones_like(tensor, dtype=torch.bool)
        for axis, index in at:
            along = [1] * tensor.ndim
            along[axis] = -1
            places = torch.arange(tensor.shape[axis], device=tensor.device)
            chosen = chosen & (places == index).view(along)
        return torch.where(chosen, change(tensor).to(tensor), tensor)

    return tap


def together(*taps: Tap) -> Tap:
    """Taps one after the other.

    >>> more = edited("ln_f", None, lambda x: x + 1)
    >>> together(more, more)("ln_f", None, torch.zeros(1)).tolist()
    [2.0]
    """

    def tap(name: str, layer: int | None, tensor: Tensor) -> Tensor:
        for each in taps:
            tensor = each(name, layer, tensor)
        return tensor

    return tap


def nothing(x: Tensor) -> Tensor:
    """Zero ablation.

    >>> nothing(torch.ones(1, 1, 2)).tolist()
    [[[0.0, 0.0]]]
    """
    return 0 * x.nan_to_num()


def mean_of(reference: Tensor, name: str) -> Callable[[Tensor], Tensor]:
    """Mean ablation: the reference's mean over rows and positions. Source: Wang et al. 2022.

    >>> mean_of(torch.tensor([[[1.0], [2.0]], [[3.0], [6.0]]]), "ln_f")(torch.zeros(1)).tolist()
    [[[3.0]]]
    """
    mean = reference.mean((0, positions_axis(name)), keepdim=True)
    return lambda x: mean.to(x)


def rows_of(reference: Tensor, rows: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """Resample ablation: these rows of the reference. Source: Chan et al. 2022.

    >>> rows_of(torch.tensor([[1.0], [2.0]]), [1, 1, 0])(torch.zeros(3, 1)).tolist()
    [[2.0], [2.0], [1.0]]
    """
    return lambda x: torch.stack([reference[row] for row in rows]).to(x)


def taken_from(reference: Tensor) -> Callable[[Tensor], Tensor]:
    """Activation patching: the reference itself. Source: Vig et al. 2020.

    >>> taken_from(torch.ones(1))(torch.zeros(1)).tolist()
    [1.0]
    """
    return reference.to


def steered_by(vector: Tensor) -> Callable[[Tensor], Tensor]:
    """Activation addition: the vector added to the last axis. Source: Turner et al. 2023.

    >>> steered_by(torch.tensor([0.0, 1.0]))(torch.ones(2, 2)).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    return lambda x: x + vector.to(x)


def blind_to(keys: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """Attention knockout, for "scores": -inf at these keys. Source: Geva et al. 2023.

    >>> blind_to([0])(torch.zeros(2, 2)).tolist()
    [[-inf, 0.0], [-inf, 0.0]]
    """

    def change(x: Tensor) -> Tensor:
        index = torch.tensor(keys, dtype=torch.int64, device=x.device)
        return x.index_fill(-1, index, -torch.inf)

    return change
