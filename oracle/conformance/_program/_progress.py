"""Progress on a terminal: a line on standard error that says what happens now, and is wiped."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

OFTEN = 0.1  # seconds between two such lines
WIPED = "\r\x1b[K"


def progress(stream: TextIO | None = None) -> Callable[[str], None]:
    """What shows a few words on the stream (standard error) in place of the last ones.

    Empty words wipe the line, at once. Nothing is shown where the stream is no terminal.
    """
    to = sys.stderr if stream is None else stream
    if not to.isatty():
        return lambda words: None
    shown_at, shown = -OFTEN, False

    def show(words: str) -> None:
        nonlocal shown_at, shown
        now = time.monotonic()
        if not words:
            if shown:
                print(WIPED, end="", file=to, flush=True)
            shown = False
        elif now - shown_at >= OFTEN:
            width = max(1, shutil.get_terminal_size().columns - 1)
            print(f"{WIPED}{words[:width]}", end="", file=to, flush=True)
            shown_at, shown = now, True

    return show
