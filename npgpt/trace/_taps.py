"""Taps (hooks): functions that a forward pass hands its activations to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from npgpt._arrays import Array

Tap: TypeAlias = Callable[[str, int | None, Array], Array]


def discard(name: str, layer: int | None, array: Array) -> Array:
    """The tap that does nothing: the default of every forward pass."""
    return array


def wants(tap: Tap, name: str, layer: int | None) -> bool:
    """Whether a tap wants an activation: all, unless it says otherwise; `discard` wants none.

    >>> from npgpt.trace import Recorder
    >>> wants(discard, "scores", 0), wants(Recorder(("ln_1",)), "scores", 0)
    (False, False)
    >>> wants(lambda name, layer, array: array, "scores", 0)
    True
    """
    if tap is discard:
        return False
    wanted: Callable[[str, int | None], bool] | None = getattr(tap, "wants", None)
    return wanted is None or wanted(name, layer)


@dataclass(frozen=True)
class Selective:
    """A tap that is handed only those activations for which `wants(name, layer)` is true."""

    tap: Tap
    wants: Callable[[str, int | None], bool]

    def __call__(self, name: str, layer: int | None, array: Array) -> Array:
        """What the tap makes of the array, if it is to see it."""
        return self.tap(name, layer, array) if self.wants(name, layer) else array


def compose(*taps: Tap) -> Tap:
    """One tap of several: each is handed what the one before it returned.

    It wants what any of them wants.

    >>> import numpy as np
    >>> from npgpt.trace import Recorder
    >>> recorder = Recorder()
    >>> both = compose(lambda name, layer, array: array + 1, recorder)
    >>> both("logits", None, np.zeros(1)), recorder["logits"]
    (array([1.]), array([1.]))
    """

    def tap(name: str, layer: int | None, array: Array) -> Array:
        for one in taps:
            array = one(name, layer, array)
        return array

    return Selective(tap, lambda name, layer: any(wants(one, name, layer) for one in taps))
