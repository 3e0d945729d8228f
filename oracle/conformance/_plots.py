"""The plots of a report, as SVG that takes its colours from the page around it."""

import io
import math
import re
from collections.abc import Sequence
from typing import Any

# Stand for the page's own colours: each is replaced by a variable of its style sheet.
INK, FAINT, GOOD, BAD = "#010101", "#020202", "#030303", "#040404"
VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
}
WIDTH = 4.6  # inches
LEAST = 1e-4  # a share below this is drawn as this
POINTS = 10


class NoPlots(ValueError):  # noqa: N818
    """matplotlib is not to be had."""


def require_matplotlib() -> Any:
    """The module. Raises NoPlots, whose one line says how to install it."""
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise NoPlots(
            "a report has plots, and they need matplotlib; pip install matplotlib"
        ) from error
    return matplotlib


def by_depth(points: Sequence[tuple[float, float]]) -> str:
    """Error and allowed error, of 0, 1, 2 … layers, as SVG; "" where no error is above 0.

    >>> by_depth([(0.0, 1e-6)])
    ''
    """
    errors, allowed = zip(*points, strict=True) if points else ((), ())
    finite = [x for x in (*errors, *allowed) if 0 < x < math.inf]
    if not any(errors) or not finite:
        return ""
    figure, axes = _figure(2.9, "both")
    low, high = min(finite) / 10, max(finite) * 10
    layers = range(len(points))
    limits = [min(max(x, low), high) for x in allowed]
    # A model without layers alone is a point, so the limit is drawn past its ends.
    ends = [-0.5, *layers, len(points) - 0.5]
    limits = [limits[0], *limits, limits[-1]]
    axes.fill_between(ends, low, limits, color=GOOD, alpha=0.15, linewidth=0)
    axes.plot(ends, limits, color=GOOD, linestyle="--", label="what rounding may do")
    heights = [min(max(x, low), high) for x in errors]
    axes.plot(layers, heights, color=BAD, marker="o", markersize=4, label="largest error")
    for layer, error in enumerate(errors):
        if not math.isfinite(error):
            axes.annotate("none", (layer, high), color=INK, ha="center", va="top", fontsize=POINTS)
    axes.set(yscale="log", ylim=(low, high), xlim=(ends[0], ends[-1]), xticks=list(layers))
    axes.set_xlabel("layers", color=INK)
    legend = axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    for text in legend.get_texts():
        text.set(color=INK, fontsize=POINTS)
    return _svg(figure, "by depth")


def margins(shares: Sequence[tuple[str, float]]) -> str:
    """The largest error of each check, (name, part of what is allowed), as SVG bars.

    An error of 0 is left out: nothing was measured, or it was right to the last bit. "" where all
    are. Infinite is a wrong kind of answer.

    >>> margins([("tokenizer/decode", 0.0)])
    ''
    """
    shown = [(name, error) for name, error in shares if error > 0]
    if not shown:
        return ""
    figure, axes = _figure(0.6 + 0.25 * len(shown), "x")
    finite = [error for _, error in shown if math.isfinite(error)]
    low, high = LEAST / 10, 3 * max([3.0, *finite])
    for place, (_, error) in enumerate(shown):
        length = min(max(error, LEAST), high)
        axes.barh(place, length - low, left=low, color=GOOD if error <= 1 else BAD, height=0.7)
        says = f"{error:.3g}" if math.isfinite(error) else "no numbers"
        axes.annotate(
            f"{says} ✓" if error <= 1 else f"{says} ✗",
            (1.02, place),
            xycoords=axes.get_yaxis_transform(),
            color=INK,
            va="center",
            fontsize=POINTS - 1,
        )
    axes.axvline(1, color=INK, linestyle="--", linewidth=1)
    axes.set(xscale="log", xlim=(low, high))
    axes.set_yticks(range(len(shown)), [name for name, _ in shown])
    axes.invert_yaxis()
    axes.set_xlabel("error, as a part of what is allowed", color=INK)
    return _svg(figure, "margins")


def _figure(height: float, grid: str) -> tuple[Any, Any]:
    matplotlib = require_matplotlib()
    figure = matplotlib.figure.Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.tick_params(colors=INK, labelsize=POINTS)
    axes.tick_params(which="minor", length=0)
    axes.grid(axis=grid, color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
    return figure, axes


def _svg(figure: Any, name: str) -> str:
    """The figure, its text as text, to stand within a page; the name keeps its ids its own."""
    matplotlib, file = require_matplotlib(), io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)  # names of groups, the same in each figure
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
