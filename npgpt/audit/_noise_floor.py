"""Noise floor: how far rounding has moved each activation of one pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, Tokens, quiet
from npgpt._config import Config
from npgpt._kernels.threads import parallel_for
from npgpt.audit._frozen_norm import in_float64
from npgpt.model._forward import forward
from npgpt.model._paging import release
from npgpt.model._parameters import Block, Parameters
from npgpt.trace import Key, Selective, Tap, compose, discard, wants

_AT_ONCE = 2**20  # numbers that are compared at a time
# An error that is estimated from one other pass: one rarely meets the worst combination of signs.
_SAFETY = 8
_EPS = float(np.finfo(np.float64).eps)
_SMALLER = _EPS / float(np.finfo(np.float32).eps)
_EXACT = ("token_embedding", "position_embedding")  # rows of a table: nothing is computed


def noise_floors(
    recorded: Mapping[Key, Array],
    tokens: Tokens,
    parameters: Parameters,
    config: Config,
    *,
    tap: Tap = discard,
) -> dict[Key, float]:
    """How far each recorded array is from the same pass in float64: the largest |difference|.

    recorded: activations of the pass on tokens (batch, query) without a past, with `tap`, in the
    dtype of the parameters. The second pass has the same weights, widened a layer at a time, and
    is handed the same changes: `tap` sees its activations rounded to the first pass's dtype.

    Two passes of the same weights and tokens, rounded in whatever way, thus differ by no more than
    the sum of their floors: |A − B| ≤ |A − R| + |B − R|, where R is the pass without rounding.

    Of R only the pass in float64 is at hand, whose own error is estimated, and part of the floor:
    the distance of the two passes, times 2⁻²⁹, by which float64 rounds less, plus one rounding of
    the largest number, which counts where float32 happens to be exact; times 8. Where the first
    pass is in float64 itself, the second is in float32, and that error is all of the floor. Rows of
    the embeddings have the floor 0: nothing is computed. A floor is infinite where one of the
    passes has NaN or infinity and the other has not.
    """
    dtype = parameters.dtype
    other = np.dtype(np.float32 if dtype == np.float64 else np.float64)
    floors: dict[Key, float] = {}

    def change(name: str, layer: int | None, array: Array) -> Array:
        with quiet():
            handed = array.astype(dtype)
            new = tap(name, layer, handed)
            return array if new is handed else new.astype(other)

    def compare(name: str, layer: int | None, array: Array) -> Array:
        moved, _ = largest_difference(array, recorded[name, layer])
        release(recorded[name, layer])
        of_float64 = _SAFETY * (_SMALLER * moved + _EPS * _size(array))
        floors[name, layer] = of_float64 + (moved if dtype == np.float32 else 0)
        return array

    both = compose(
        Selective(change, lambda name, layer: wants(tap, name, layer)),
        Selective(compare, lambda name, layer: (name, layer) in recorded),
    )
    forward(tokens, _in(other, parameters), config, tap=both)
    return floors | {key: 0.0 for key in recorded if key[0] in _EXACT}


def largest_difference(one: Array, other: Array) -> tuple[float, tuple[int, ...] | None]:
    """The largest |one − other| of two arrays of one shape, and its first index, None for none.

    The same infinity, and NaN in both, are no difference; in one of them alone, an infinite one.

    >>> largest_difference(np.array([[1.0, np.nan]]), np.array([[1.5, np.nan]]))
    (0.5, (0, 0))
    """
    rows = max(_AT_ONCE // one.shape[-1], 1)
    starts = [
        (*before, first)
        for before in np.ndindex(one.shape[:-2])
        for first in range(0, one.shape[-2], rows)
    ]
    gaps: dict[tuple[int, ...], float] = {}

    def look(start: tuple[int, ...]) -> None:
        before, first = start[:-1], start[-1]
        part: tuple[int | slice, ...] = (*before, slice(first, first + rows))
        gap = _gap(one[part].astype(np.float64), other[part].astype(np.float64))
        row, column = (int(place) for place in np.unravel_index(gap.argmax(), gap.shape))
        gaps[(*before, first + row, column)] = float(gap[row, column])

    parallel_for(look, starts)
    where = min(gaps, key=lambda place: (-gaps[place], place))
    return gaps[where], where if gaps[where] else None


def _size(array: Array) -> float:
    """The largest finite |number|."""
    finite = np.isfinite(array)
    most, least = array.max(initial=0, where=finite), array.min(initial=0, where=finite)
    return float(max(most, -least))


def _gap(one: Array, other: Array) -> Array:
    with quiet():
        gap: Array = np.abs(one - other)
    strange = np.isnan(gap)  # NaN, or an infinity in both
    if strange.any():
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        gap[strange] = np.where(same[strange], 0, np.inf)
    return gap


_Node = TypeVar("_Node")


def _in(dtype: npt.DTypeLike, parameters: Parameters) -> Parameters:
    """The same weights in another dtype; those of a layer when it is used, and only then."""
    wte = _converted(parameters.wte, dtype)
    tied = parameters.lm_head is parameters.wte
    return Parameters(
        wte=wte,
        wpe=_converted(parameters.wpe, dtype),
        h=_Layers(parameters.h, np.dtype(dtype)),
        ln_f=_converted(parameters.ln_f, dtype),
        lm_head=wte if tied else _converted(parameters.lm_head, dtype),
    )


def _converted(node: _Node, dtype: npt.DTypeLike) -> _Node:
    if isinstance(node, np.ndarray):
        with quiet():
            return in_float64(node).astype(dtype, copy=False)  # type: ignore[return-value]
    children = {name: _converted(child, dtype) for name, child in vars(node).items()}
    return dataclasses.replace(node, **children)  # type: ignore[type-var]


@dataclass(frozen=True, eq=False)
class _Layers(Sequence[Block]):
    stored: Sequence[Block]
    dtype: npt.DTypeLike

    def __len__(self) -> int:
        return len(self.stored)

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Block]: ...
    def __getitem__(self, index: int | slice) -> Block | Sequence[Block]:
        if isinstance(index, slice):
            return _Layers(self.stored[index], self.dtype)
        return _converted(self.stored[index], self.dtype)

    def __iter__(self) -> Iterator[Block]:
        return (_converted(block, self.dtype) for block in self.stored)
