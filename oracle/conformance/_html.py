"""A judgement as one HTML page that needs nothing else: no network, no scripts, no other files."""

import math
import re
from collections.abc import Sequence
from importlib.resources import files

import jinja2

from oracle.conformance import _plots as plots
from oracle.conformance._judge import Judgement
from oracle.conformance._outcome import NOT_OFFERED
from oracle.conformance._table import as_data, verdict_line, worst_error

TEMPLATE = "report.html.jinja"
THREAD = re.compile(r"([\w.-]+/[\w.-]+)#(\d+)")


def page(judgement: Judgement, *, lines: Sequence[str] = ()) -> str:
    """The page, as text to be written in UTF-8. Raises plots.NoPlots without matplotlib.

    lines: what `readings.lines` reads of the part that goes wrong.
    """
    data = as_data(judgement)
    asked = [check for check in data["checks"] if check["verdict"] != NOT_OFFERED]
    largest = {outcome.check.name: worst_error(outcome) for outcome in judgement.outcomes}
    named = {name for family in data["families"] for name in family["named"]}
    return _template().render(
        data,
        asked=asked,
        headline=verdict_line(judgement).replace(judgement.verdict.upper(), judgement.verdict, 1),
        lines=lines,
        largest={name: number(value) for name, value in largest.items()},
        not_offered=[c["name"] for c in data["checks"] if c["verdict"] == NOT_OFFERED],
        near=[dict(s, source=linked(s["source"])) for s in data["suspects"] if s["id"] in named],
        tried=sum(family["tried"] for family in data["families"]),
        # Made here, of numbers and the names of our own checks, so not to be escaped again.
        depths=plots.by_depth(judgement.by_depth),
        margins=plots.margins([(check["name"], largest[check["name"]]) for check in asked]),
        number=number,
    )


def number(value: float | None) -> str:
    """Three digits; what is no finite number, for JSON null, is "∞".

    >>> number(0.12345), number(1234567.0), number(None)
    ('0.123', '1.23e+06', '∞')
    """
    return "∞" if value is None or not math.isfinite(value) else f"{value:.3g}"


def linked(source: str) -> list[tuple[str, str | None]]:
    """The source in pieces, each with where it leads to, if it names a thread on GitHub.

    >>> linked("see pytorch/pytorch#1")
    [('see ', None), ('pytorch/pytorch#1', 'https://github.com/pytorch/pytorch/issues/1')]
    """
    pieces: list[tuple[str, str | None]] = []
    end = 0
    for found in THREAD.finditer(source):
        pieces.append((source[end : found.start()], None))
        repository, thread = found.groups()
        pieces.append((found[0], f"https://github.com/{repository}/issues/{thread}"))
        end = found.end()
    pieces.append((source[end:], None))
    return [piece for piece in pieces if piece[0]]


def _template() -> jinja2.Template:
    text = files("oracle.conformance").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text)
