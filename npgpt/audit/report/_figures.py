"""The figures of an audit, by matplotlib."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npgpt._arrays import quiet
from npgpt.audit._attribution import size_order
from npgpt.audit.report._page import window
from npgpt.audit.report._recording import Recording
from npgpt.checkpoints._files import replacing
from npgpt.errors import CheckpointError, SettingError

FILES = ("surprisal.png", "logit_lens.png", "attention.png", "attribution.png")
_DPI = 150
_MOST_TOKENS = 48  # of which surprisal and logit lens are drawn, the last ones
_MOST_PARTS = 24
_INK, _FAINT, _BLUE, _WARM = "#1b1c20", "#5a5d66", "#3f83e0", "#c8693a"
_STYLE = {
    "font.size": 8, "text.color": _INK, "axes.edgecolor": _FAINT, "axes.labelcolor": _INK,
    "xtick.color": _FAINT, "ytick.color": _FAINT, "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK, "axes.spines.top": False, "axes.spines.right": False,
    # A token may hold a dollar sign, which would begin a formula.
    "text.parse_math": False,
}  # fmt: skip


def require_matplotlib() -> Any:
    """The module. Raises SettingError, which says how to install it."""
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError:
        raise SettingError("figures take matplotlib; pip install matplotlib") from None
    return matplotlib


def draw(folder: Path, facts: Mapping[str, Any], of: Recording) -> list[Path]:
    """Write the figures of `facts.gather` into a folder, made if need be; their paths.

    Raises SettingError without matplotlib, and CheckpointError where a file cannot be written.
    """
    matplotlib = require_matplotlib()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written ({error.strerror})") from error
    written = []
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings(), quiet():
        # The font may lack a character of the text: it is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        for name, figure in zip(FILES, _figures(matplotlib, facts, of), strict=True):
            with replacing(folder / name) as file:
                figure.savefig(file, format="png", dpi=_DPI, bbox_inches="tight")
            written.append(folder / name)
    return written


def _figures(matplotlib: Any, facts: Mapping[str, Any], of: Recording) -> Iterator[Any]:
    yield _surprisal(matplotlib, facts)
    yield _lens(matplotlib, facts)
    yield _attention(matplotlib, facts, of)
    yield _attribution(matplotlib, facts)


def _surprisal(matplotlib: Any, facts: Mapping[str, Any]) -> Any:
    tokens = facts["tokens"][-_MOST_TOKENS:]
    nats = [math.nan if t["nats"] is None else t["nats"] for t in tokens]
    figure = _figure(matplotlib, 1.5 + 0.22 * len(tokens), 2.4)
    axes = figure.subplots()
    axes.bar(range(len(tokens)), nats, color=_WARM, width=0.7)
    axes.set_xticks(range(len(tokens)), [_visible(t["text"]) for t in tokens], rotation=90)
    axes.set_ylabel("surprisal in nats")
    axes.set_xlim(-0.6, len(tokens) - 0.4)
    return figure


def _lens(matplotlib: Any, facts: Mapping[str, Any]) -> Any:
    lens, tokens = facts["logit_lens"], facts["tokens"][-_MOST_TOKENS:]
    tops = [[_top(likely) for likely in row["positions"][-_MOST_TOKENS:]] for row in lens]
    shares = np.array([[top["probability"] for top in row] for row in tops], np.float64)
    figure = _figure(matplotlib, 1.5 + 0.5 * len(tokens), 0.8 + 0.26 * len(lens))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(tops):
        for x, top in enumerate(row):
            dark = top["probability"] > 0.55
            axes.text(x, y, _visible(top["text"])[:9], ha="center", va="center", fontsize=6,
                      color="white" if dark else _INK)  # fmt: skip
    axes.set_xticks(range(len(tokens)), [_visible(t["text"]) for t in tokens], rotation=90)
    axes.set_yticks(range(len(lens)), [row["depth"] for row in lens])
    axes.set_xlabel("after reading")
    figure.colorbar(image, ax=axes, label="probability", pad=0.01)
    return figure


def _top(likely: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The likeliest; nothing is where logits are NaN."""
    return likely[0] if likely else {"text": "", "probability": math.nan}


def _attention(matplotlib: Any, facts: Mapping[str, Any], of: Recording) -> Any:
    layers, heads = of.config.n_layer, of.config.n_head
    shown = window(of.tokens.shape[1], layers, heads)
    figure = _figure(matplotlib, 0.5 + 1.05 * heads, 0.4 + 1.05 * layers)
    if layers == 0:
        figure.text(0.5, 0.5, "no layer, no attention", ha="center")
        return figure
    grid = figure.subplots(layers, heads, squeeze=False)
    for layer in range(layers):
        for head in range(heads):
            axes = grid[layer, head]
            pattern = of.trace["pattern", layer][0, head, -shown:, -shown:]
            axes.imshow(np.sqrt(pattern), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if head == 0:
                axes.set_ylabel(f"layer {layer}")
            if layer == 0:
                axes.set_title(f"head {head}", fontsize=8)
    figure.supxlabel("key; the shade is the square root of the weight", fontsize=8)
    return figure


def _attribution(matplotlib: Any, facts: Mapping[str, Any]) -> Any:
    attribution = facts["attribution"]
    last = [(part["part"], part["values"][-1]) for part in attribution["parts"]]
    order = sorted(last, key=lambda part: size_order(part[1]))
    most, rest = order[:_MOST_PARTS], order[_MOST_PARTS:]
    if rest:
        most.append((f"the other {len(rest)} together", sum(value for _, value in rest)))
    names, values = zip(*most, strict=True)
    figure = _figure(matplotlib, 5.5, 0.7 + 0.17 * len(most))
    axes = figure.subplots()
    axes.barh(range(len(most)), values, color=[_WARM if v < 0 else _BLUE for v in values])
    axes.set_yticks(range(len(most)), names)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.set_xlabel(
        f"adds to the logit of {_visible(attribution['targets'][-1]['text'])}, the likeliest next "
        f"token; sum {attribution['sum'][-1]:.3f}, logit {attribution['logit'][-1]:.3f}"
    )
    return figure


def _figure(matplotlib: Any, width: float, height: float) -> Any:
    return matplotlib.figure.Figure(figsize=(width, height), layout="constrained")


def _visible(text: str) -> str:
    r"""A token with marks for white space, and escapes for what fonts lack.

    >>> _visible(" day\n")
    '␣day⏎'
    """
    marked = text.translate({ord(" "): "␣", ord("\n"): "⏎", ord("\t"): "⇥"})
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in marked)
