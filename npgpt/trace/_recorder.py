"""Recorder: a tap that keeps the activations that it is asked for."""

import html
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from npgpt._arrays import Array
from npgpt.errors import SettingError
from npgpt.trace._activations import NAMES, Key, check_patterns, hint

_SHOWN = 24  # lines, of a screen, and layers, of a line


@dataclass(frozen=True, eq=False, repr=False)
class Recorder:
    """A tap that keeps a copy of each activation that one of `patterns` asks for, and of no other.

    A pattern is a name of `NAMES`, or, shell-style, several (`"resid_*"`, `"*"`); with a dot and a
    number after it, of that layer only (`"head_out.3"`, `"*.0"`). `recorder[name]` or
    `recorder[name, layer]` gives the array of the latest call.

    Two are equal only if they are the same one.

    Raises SettingError for a pattern that fits no name, and for an array that was not recorded.

    >>> import numpy as np
    >>> recorder = Recorder(("resid_*", "ln_1.5"))
    >>> for layer in (0, 5):
    ...     _ = recorder("resid_pre", layer, np.zeros(2)), recorder("ln_1", layer, np.ones(2))
    >>> list(recorder.arrays)
    [('resid_pre', 0), ('resid_pre', 5), ('ln_1', 5)]
    """

    patterns: tuple[str, ...] = ("*",)
    arrays: dict[Key, Array] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The patterns, and of the arrays a line: as many as fit on a screen."""
        rows = [" ".join(row) for row in self._rows()]
        of = f" of {len(self.arrays)} arrays, {self._size()}" if self.arrays else ""
        return "\n  ".join([f"<Recorder {' '.join(map(repr, self.patterns[:_SHOWN]))}{of}>", *rows])

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self._rows())
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        caption = f"Recorder: {len(self.arrays)} arrays, {self._size()}"
        return f"<table><caption>{caption}</caption>{body}</table>"

    def _size(self) -> str:
        return f"{sum(array.nbytes for array in self.arrays.values()) / 1e6:.1f} MB"

    def _rows(self) -> list[tuple[str, ...]]:
        """Name, layers, shape, dtype of each activation; layers that are alike in one row."""
        groups: dict[tuple[str, str, str], list[int | None]] = {}
        for (name, layer), array in self.arrays.items():
            groups.setdefault((name, str(array.shape), str(array.dtype)), []).append(layer)
        rows: list[tuple[str, ...]] = [
            (name, _span(layers), shape, dtype) for (name, shape, dtype), layers in groups.items()
        ]
        more = len(rows) - _SHOWN
        return rows if more <= 0 else [*rows[:_SHOWN], (f"and {more} more",)]

    def __post_init__(self) -> None:
        check_patterns(self.patterns)

    def wants(self, name: str, layer: int | None) -> bool:
        """Whether one of the patterns asks for that activation."""
        return any(_fits(pattern, name, layer) for pattern in self.patterns)

    def __call__(self, name: str, layer: int | None, array: Array) -> Array:
        """Copy the array if it is asked for, and hand the array on unchanged."""
        if self.wants(name, layer):
            self.arrays[name, layer] = array.copy()
        return array

    def __getitem__(self, key: str | tuple[str, int | None]) -> Array:
        name, layer = (key, None) if isinstance(key, str) else key
        if (name, layer) in self.arrays:
            return self.arrays[name, layer]
        layers = sorted(at for known, at in self.arrays if known == name and at is not None)
        if layers:
            raise SettingError(
                f"layer of {name!r} is {layer!r}; it was recorded of {', '.join(map(str, layers))}"
            )
        why = "record it: it matches none of the patterns" if name in NAMES else hint(name)
        raise SettingError(f"no {name!r} of layer {layer!r} was recorded; {why}")


def _fits(pattern: str, name: str, layer: int | None) -> bool:
    wanted, _, number = pattern.partition(".")
    return fnmatchcase(name, wanted) and (not number or layer == int(number))


def _span(layers: list[int | None]) -> str:
    numbers = sorted(layer for layer in layers if layer is not None)
    if not numbers:
        return "outside the layers"
    if numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 1:
        return f"layers {numbers[0]} to {numbers[-1]}"
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    return (
        ("layer " if len(numbers) == 1 else "layers ") + shown + ", ..." * (len(numbers) > _SHOWN)
    )
