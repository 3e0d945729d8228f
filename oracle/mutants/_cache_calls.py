"""Ways to be wrong about a past: when it is used, read, and handed on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._wrapping import Call, changed


def later(change: Callable[[Call, model.Past], model.Output]) -> Callable[..., model.Output]:
    """A `forward` that is wrong only where there is a past."""
    return changed(lambda call: change(call, call.past) if call.past else call.run())


def placed(places: Callable[[Call, model.Past], Tensor]) -> Callable[..., model.Output]:
    """Wrong positions where there is a past."""
    return later(lambda call, past: call.run(positions=places(call, past)))


def reading(change: Callable[[model.Past], model.Past]) -> Callable[..., model.Output]:
    """A past of the same length, misread: the positions are right, and what is handed on too."""

    def run(call: Call, past: model.Past) -> model.Output:
        output = call.run(past=change(past), positions=call.places)
        size = past.mask.shape[1]
        handed = output.past
        keys = joined(past.keys, [k[:, :, size:] for k in handed.keys])
        values = joined(past.values, [v[:, :, size:] for v in handed.values])
        return replace(output, past=model.Past(keys, values, call.all_mask))

    return later(run)


def joined(old: Any, new: Any) -> tuple[Tensor, ...]:
    """Each layer's new keys or values after its old ones."""
    return tuple(torch.cat([o, n], 2) for o, n in zip(old, new, strict=True))


def both(change: Callable[[Tensor], Tensor]) -> Callable[[model.Past], model.Past]:
    """The same change to each key and value tensor."""
    return lambda past: replace(
        past, keys=tuple(map(change, past.keys)), values=tuple(map(change, past.values))
    )


def hiding(real: Callable[[Tensor], Tensor]) -> Callable[[model.Past], model.Past]:
    """A past of which only what real(mask) names is looked at."""
    return lambda past: replace(past, mask=past.mask & real(past.mask))


def index(mask: Tensor) -> Tensor:
    """The columns of a mask (batch, key), counted from 0."""
    return torch.arange(mask.shape[1], device=mask.device)
