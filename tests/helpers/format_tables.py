"""The tables of docs/checkpoints.md, made of the tables of formats and of dialects.

`python -m tests.helpers.format_tables` writes them into the page, between two markers.
"""

from pathlib import Path

from npgpt.checkpoints._dialects import DIALECTS, Dialect
from npgpt.checkpoints._formats import FORMATS, Format

PAGE = Path(__file__).parents[2] / "docs" / "checkpoints.md"
START, END = "<!-- formats: start -->\n", "<!-- formats: end -->\n"
# The usual name of files of these formats.
_USUAL = {
    "safetensors": "model.safetensors",
    "torch zip": "pytorch_model.bin",
    "torch legacy": "pytorch_model.bin",
}


def tables() -> str:
    """A line for each format, those of the usual files first, and one for each dialect."""
    formats = sorted(FORMATS, key=lambda row: (row.name not in _USUAL, row.name.lower()))
    return "\n".join(
        [
            "",
            *_table(("format", "files", "written by", "holds", "checksums"), map(_format, formats)),
            "",
            "### Names and layouts",
            "",
            *_table(("dialect", "matrices", "example", "source"), map(_dialect, DIALECTS)),
            "",
            "",
        ]
    )


def page(text: str) -> str:
    """The text of the page, with the tables as they are to be."""
    before, _, rest = text.partition(START)
    _, end, after = rest.partition(END)
    assert end, "no markers"
    return before + START + tables() + END + after


def _format(row: Format) -> tuple[str, ...]:
    usual = _USUAL.get(row.name)
    files = [f"`{usual}`, whole or in parts with an index"] if usual else []
    if row.looked_for:
        files.append(row.looked_for.replace(row.pattern, f"`{row.pattern}`"))
    return row.name, ", ".join(files), row.written_by, row.holds, row.checksums


def _dialect(row: Dialect) -> tuple[str, ...]:
    axes = "(out, in)" if row.out_in else "(1, in, out)" if row.kernels else "(in, out)"
    return row.name, axes, f"`{row.example}`", row.source


def _table(head, rows):
    yield _line(head)
    yield _line(["---"] * len(head))
    yield from map(_line, rows)


def _line(cells) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
