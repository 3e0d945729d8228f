"""Trace diff: where two traces differ by more than rounding explains."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from npgpt.audit._noise_floor import largest_difference
from npgpt.audit.saved._load import Saved
from npgpt.audit.saved._verify import differences_of_pass
from npgpt.errors import SettingError
from npgpt.trace import Key

# The sizes of which arrays of a pass are made; the length of the tokens is the other.
_SIZES = ("n_embd", "n_layer", "n_head", "n_inner", "vocab_size")


class Difference(NamedTuple):
    """How far two arrays are apart: the largest |a − b|, where, and what rounding explains.

    at, an index, is None where they are equal. floor is the sum of the two traces' noise floors.
    """

    name: str
    layer: int | None
    largest: float
    at: tuple[int, ...] | None
    floor: float

    @property
    def ratio(self) -> float:
        """largest / floor: above 1, two roundings of the same numbers cannot be so far apart."""
        if self.floor == 0:
            return math.inf if self.largest else 0.0
        return self.largest / self.floor if self.floor < math.inf else 0.0


class Comparison(NamedTuple):
    """differences, of what both traces hold; what one of them holds alone; how the configs differ.

    All in the order of the forward pass. config: each field that differs, and what each has.
    """

    differences: list[Difference]
    only_a: list[Key]
    only_b: list[Key]
    config: list[tuple[str, Any, Any]]

    @property
    def first(self) -> Difference | None:
        """The first in the pass that is above its floor: what comes after may follow from it."""
        return next((each for each in self.differences if each.ratio > 1), None)


def compare_traces(a: Saved, b: Saved) -> Comparison:
    """Each activation of two saved traces of the same tokens, one from the other.

    Two passes of one model that round differently (other dtypes, machines, numbers of threads) are
    within their floors (`noise_floors`). The converse does not hold: two models closer to
    each other than their rounding are not told apart.

    Raises SettingError for other tokens, for sizes of the models that make other arrays, naming
    both, and where no activation is in both; CheckpointError where a file has been cut short.
    """
    a.check_whole()
    b.check_whole()
    _check_tokens(a, b)
    config = differences_of_pass(a.config, b.config)
    sizes = [f"{name} is {one} in a and {two} in b" for name, one, two in config if name in _SIZES]
    if sizes:
        raise SettingError(f"{'; '.join(sizes)}: the arrays have no common shape to compare")
    both = [key for key in a.trace.arrays if key in b.trace.arrays]
    if not both:
        raise SettingError("no activation is in both traces; record the same names in both")
    return Comparison(
        differences=[
            Difference(
                *key,
                *largest_difference(a.trace.arrays[key], b.trace.arrays[key]),
                a.floors[key] + b.floors[key],
            )
            for key in both
        ],
        only_a=[key for key in a.trace.arrays if key not in b.trace.arrays],
        only_b=[key for key in b.trace.arrays if key not in a.trace.arrays],
        config=config,
    )


def _check_tokens(a: Saved, b: Saved) -> None:
    if a.tokens.shape != b.tokens.shape:
        raise SettingError(
            f"the tokens of a are {a.tokens.shape} (rows, length), those of b {b.tokens.shape}; "
            "compare traces of the same tokens"
        )
    if not np.array_equal(a.tokens, b.tokens):
        row, column = (int(i) for i in np.argwhere(a.tokens != b.tokens)[0])
        raise SettingError(
            f"token {column} of row {row} is {a.tokens[row, column]} in a and "
            f"{b.tokens[row, column]} in b; compare traces of the same tokens"
        )
