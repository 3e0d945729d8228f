"""How mutants get at the oracle's model: by its names, by its arguments, or by its taps."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._mutant import Mutant, Severity
from oracle.ops._attention import Tap, keep

EVERY = ("float64", "float32", "bfloat16", "float16")
# Where the claim is wide: losses that are none where the numbers are that narrow anyway.
WIDE = ("float64", "float32")
# Where the claim has room: computations that are honest as long as nothing overflows.
NOT_FLOAT16 = ("float64", "float32", "bfloat16")

_forward = model.forward


@dataclass(frozen=True)
class Call:
    """The arguments of one call of `oracle.model.forward`; mask is never None."""

    weights: model.Weights
    config: model.Config
    tokens: Tensor
    mask: Tensor
    positions: Tensor | None
    past: model.Past | None
    tap: Tap | None

    @property
    def c(self) -> dict[str, Any]:
        """The configuration with every field."""
        return {**model.DEFAULTS, **self.config}

    @property
    def all_mask(self) -> Tensor:
        """Which of all tokens are real, those of the past first: (batch, key)."""
        return self.mask if self.past is None else torch.cat([self.past.mask, self.mask], 1)

    @property
    def places(self) -> Tensor:
        """The positions given, or else those that the true forward takes: (batch, query)."""
        if self.positions is not None:
            return self.positions
        count = (self.all_mask.cumsum(1) - 1).clamp(min=0)
        return count[:, count.shape[1] - self.tokens.shape[1] :]

    def run(self, **changes: Any) -> model.Output:
        """The true forward of this call, with some arguments changed."""
        new = replace(self, **changes)
        return _forward(
            new.weights,
            new.config,
            new.tokens,
            mask=new.mask,
            positions=new.positions,
            past=new.past,
            tap=new.tap,
        )


def changed(change: Callable[[Call], model.Output]) -> Callable[..., model.Output]:
    """A `forward` that hands its arguments to `change` as a Call.

    >>> silent = changed(lambda call: call.run(mask=torch.ones_like(call.mask)))
    >>> tiny = {"vocab_size": 2, "n_positions": 2, "n_embd": 1, "n_layer": 0, "n_head": 1}
    >>> weights = {name: torch.ones(shape) for name, shape in model.shapes(tiny).items()}
    >>> silent(weights, tiny, torch.tensor([[0, 1]])).logits.shape
    torch.Size([1, 2, 2])
    """

    def forward(
        weights: model.Weights,
        config: model.Config,
        tokens: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        past: model.Past | None = None,
        tap: Tap | None = None,
    ) -> model.Output:
        new = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        return change(Call(weights, config, tokens, new, positions, past, tap))

    return forward


def reweighted(change: Callable[..., Any]) -> Callable[..., model.Output]:
    """A `forward` with some weights exchanged for those of change(weights, full configuration)."""
    return changed(lambda call: call.run(weights={**call.weights, **change(call.weights, call.c)}))


@dataclass(frozen=True)
class Seen:
    """What passed the taps so far, by name and layer, and the call that it is of."""

    call: Call
    values: dict[tuple[str, int | None], Tensor]

    def __call__(self, name: str, layer: int | None = None) -> Tensor:
        """The activation of that name and layer."""
        return self.values[name, layer]

    def norm(self, name: str, layer: int, x: Tensor) -> Tensor:
        """x through that layer norm of that layer."""
        return model._norm(self.call.weights, self.call.c, f"h.{layer}.{name}", x)


def steered(**at: Callable[[Tensor, int | None, Seen], Tensor]) -> Callable[..., model.Output]:
    """A `forward` in which activations are replaced: at[name](tensor, layer, seen).

    The caller's tap sees the replacement.
    """

    def change(call: Call) -> model.Output:
        tap, seen = call.tap or keep, Seen(call, {})

        def steer(name: str, layer: int | None, tensor: Tensor) -> Tensor:
            if name in at:
                tensor = at[name](tensor, layer, seen)
            seen.values[name, layer] = tap(name, layer, tensor)
            return seen.values[name, layer]

        return call.run(tap=steer)

    return changed(change)


def model_bug(
    id: str,
    bug: str,
    source: str,
    *,
    area: str = "model",
    dtypes: tuple[str, ...] = EVERY,
    effect: str = "",
    severity: Severity = "",
    **replaces: Any,
) -> Mutant:
    """The mutant in which the given names of `oracle.model` are replaced."""
    named = {f"oracle.model.{name}": what for name, what in replaces.items()}
    return Mutant(id, bug, source, area, named, dtypes, effect, severity)
