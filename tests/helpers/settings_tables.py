"""The tables of docs/settings.md, made of the table of settings.

`python -m tests.helpers.settings_tables` writes them into the page, between two markers.
"""

from pathlib import Path

from npgpt.decoding._compatibility import Setting
from npgpt.decoding._settings import TABLE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
START, END = "<!-- settings: start -->\n", "<!-- settings: end -->\n"
HEAD = ("setting", "what it does", "default", "off", "needs", "who else has it")


def tables() -> str:
    """A heading and a table for each stage, a line for each setting."""
    lines: list[str] = []
    stage = ""
    for name, row in TABLE.items():
        if row.stage != stage:
            stage = row.stage
            title = stage[0].upper() + stage[1:]
            lines += ["", f"### {title}", "", _line(HEAD), _line(["---"] * len(HEAD))]
        lines.append(_line(_cells(name, row)))
    return "\n".join([*lines, "", ""])


def page(text: str) -> str:
    """The text of the page, with the tables as they are to be."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return before + START + tables() + END + after


def _cells(name: str, row: Setting) -> list[str]:
    more_off = [value for value in row.off if value != row.default]
    return [
        f"`{name}`",
        "; ".join(filter(None, [row.help, row.detail])),
        f"`{row.default!r}`",
        ", ".join(f"`{value!r}`" for value in more_off),
        _needs(row),
        row.known_to,
    ]


def _needs(row: Setting) -> str:
    excluded = ", ".join(f"`{name}`" for name in row.excludes)
    return ", and ".join(filter(None, [" or ".join(row.needs), excluded and f"no {excluded}"]))


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
