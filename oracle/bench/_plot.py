"""The plot: time of a token against what stands before it, and of a prompt against its length."""

import statistics
from pathlib import Path
from typing import Any

from oracle.bench._measure import Measurements
from oracle.bench._row import CONTEXTS, LENGTHS, Need

# Contestants in the order of the legend: label, colour, line. Told apart by more than colour.
_LINES = {
    "npgpt": ("npgpt", "#0b6e4f", "o-"),
    "transformers": ("transformers", "#b3541e", "s-"),
    "pytorch": ("the oracle's PyTorch path", "#5b4b8a", "^-"),
    "limit": ("the machine's limit", "#444444", "--"),
    "hbm": ("the memory's limit", "#444444", "--"),
}
_PANELS = (
    ("context", CONTEXTS, "a token, by what stands before it", "tokens before it"),
    ("prefill", LENGTHS, "a prompt, to its first new token", "tokens of the prompt"),
)


class NoPlots(ValueError):  # noqa: N818
    """matplotlib is not to be had."""


def require_matplotlib() -> Any:
    """The module. Raises NoPlots, whose one line says how to install it."""
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise NoPlots("--plot needs matplotlib; pip install matplotlib") from error
    return matplotlib


def draw(measured: Measurements, path: Path, *, title: str) -> None:
    """Write both panels as a PNG: medians, in bands from the least to the most of the runs."""
    figure = require_matplotlib().figure.Figure(figsize=(10, 4.4), layout="constrained")
    figure.suptitle(title, fontsize=10)
    both = figure.subplots(1, 2)
    for axes, (task, places, heading, below) in zip(both, _PANELS, strict=True):
        for name, (label, colour, line) in _LINES.items():
            points = [
                (n, values)
                for n in places
                if (values := measured.values.get(Need(name, f"{task}-{n}")))
            ]
            if points:
                _curve(axes, points, label, colour, line)
        axes.set_title(heading, fontsize=10)
        axes.set_xlabel(below)
        axes.set_ylabel("milliseconds")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=9)
    decoding, reading = both
    decoding.set_ylim(bottom=0)
    reading.set_xscale("log", base=2)
    reading.set_yscale("log")
    reading.set_xticks(LENGTHS, [str(n) for n in LENGTHS])
    reading.yaxis.set_major_formatter("{x:g}")
    figure.savefig(path, format="png", dpi=150)


def _curve(axes: Any, points: list[tuple[int, list[float]]], *style: str) -> None:
    label, colour, line = style
    x = [n for n, _ in points]
    in_ms = [[1e3 * value for value in values] for _, values in points]
    middle = [statistics.median(values) for values in in_ms]
    axes.plot(x, middle, line, color=colour, label=label, markersize=4, linewidth=1.4)
    low, high = [min(values) for values in in_ms], [max(values) for values in in_ms]
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
