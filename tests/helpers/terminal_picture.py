"""Commands and what they print, drawn as a terminal: `python -m tests.helpers.terminal_picture`.

Writes docs/images/run.svg from what the commands print now; a test holds the file to that. Text in
an SVG stays text: it can be searched, selected and read aloud.
"""

import html
import os
import subprocess
import sys
from pathlib import Path

PICTURE = Path(__file__).parent.parent.parent / "docs" / "images" / "run.svg"
COMMANDS = (
    'npgpt generate "Shall I compare thee" --max-new-tokens 27',
    'npgpt generate "To be" --explain --max-new-tokens 1 --top-k 50',
)
_COLUMN, _LINE, _MARGIN, _BAR = 8.4, 20, 20, 34
_DOTS = ("#ff5f57", "#febc2e", "#28c840")


def drawn() -> str:
    """The picture: the commands after `$`, and below each what it prints."""
    lines: list[tuple[str, str]] = []
    for command in COMMANDS:
        lines += [("command", f"$ {command}")]
        lines += [("output", line) for line in _printed(command).splitlines()] + [("output", "")]
    lines.pop()
    width = 2 * _MARGIN + _COLUMN * max(len(line) for _, line in lines)
    height = _BAR + 2 * _MARGIN + _LINE * (len(lines) - 1)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
            f'width="{width:.0f}" height="{height}" role="img" '
            'aria-label="A terminal in which npgpt continues a text and explains a decision">',
            "<style>text { font: 14px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace;"
            " white-space: pre; fill: #d7dde5 } .command { fill: #8fd694 }</style>",
            f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#1b1f27"/>',
            *(
                f'<circle cx="{20 + 20 * i}" cy="18" r="6" fill="{colour}"/>'
                for i, colour in enumerate(_DOTS)
            ),
            *(
                _text(kind, line, _BAR + _MARGIN + _LINE * i - 4)
                for i, (kind, line) in enumerate(lines)
                if line
            ),
            "</svg>",
            "",
        ]
    )


def _text(kind: str, line: str, y: float) -> str:
    """A line, as wide as so many columns in whatever font there is."""
    return (
        f'<text class="{kind}" x="{_MARGIN}" y="{y}" xml:space="preserve" '
        f'textLength="{_COLUMN * len(line):.1f}">{html.escape(line, quote=False)}</text>'
    )


def _printed(command: str) -> str:
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        shell=True,
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"PATH": search, "PYTHONUTF8": "1"},
    )
    return done.stdout


if __name__ == "__main__":
    PICTURE.write_text(drawn(), encoding="utf-8")
