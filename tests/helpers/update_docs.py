"""Write the real outputs into the documentation.

    python -m tests.helpers.update_docs                     # every page
    python -m tests.helpers.update_docs docs/audit.md ...   # some

Figures that the code knows are corrected too (`figures`). An output that holds already stays as it
is. Lines left out (`...`) stay left out: what is shown between becomes those printed lines that
are most like it. An exception where the page shows none is a fault of the page, which is then left
alone.
"""

import difflib
import os
import sys
import tempfile
from pathlib import Path

from tests.helpers.documentation import Example, pages, run
from tests.helpers.figures import corrected


def update(page: Path) -> int:
    """Rewrite the outputs of a page that do not hold; how many they were."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            wrong = [example for example in run(page, Path(folder)) if not example.holds]
        finally:
            os.chdir(before)
    if broken := [str(example) for example in wrong if _raises(example)]:
        raise SystemExit("\n\n".join([*broken, f"{page} is left as it was"]))
    text = page.read_text(encoding="utf-8")
    for example in reversed(wrong):
        start = example.block.start + example.start
        text = text[:start] + renewed(example) + text[start + len(example.shown) :]
    page.write_text(corrected(text), encoding="utf-8")
    return len(wrong)


def renewed(example: Example) -> str:
    """The output to show in place of the one that is shown."""
    lines = renewed_lines(example.shown.splitlines(), example.printed.splitlines())
    return "".join(f"{line.rstrip()}\n" for line in lines)


def renewed_lines(shown: list[str], printed: list[str]) -> list[str]:
    """The printed lines, without those that are left out in the lines shown.

    >>> renewed_lines(["a 1", "...", "c 3", "...", "z"], ["a 2", "b", "c 4", "d", "y", "z"])
    ['a 2', '...', 'c 4', '...', 'z']
    >>> renewed_lines(["a", "..."], ["b", "c"])
    ['b', '...']
    """
    if "..." not in shown:
        return printed
    hole = shown.index("...")
    kept = printed[:hole]
    rest, later = printed[hole:], shown[hole + 1 :]
    until = later.index("...") if "..." in later else len(later)
    if until == len(later):
        return [*kept, "...", *rest[max(0, len(rest) - until) :]]
    part = later[:until]
    at = max(
        range(max(1, len(rest) - until + 1)),
        key=lambda at: _likeness(part, rest[at : at + until]),
    )
    return [*kept, "...", *renewed_lines(later, rest[at:])]


def _raises(example: Example) -> bool:
    """Whether there is an exception, or nothing but an error message, where none is shown."""
    return example.printed.startswith("Traceback") and not example.shown.startswith("Traceback")


def _likeness(some: list[str], others: list[str]) -> float:
    return difflib.SequenceMatcher(None, "\n".join(some), "\n".join(others)).ratio()


if __name__ == "__main__":
    for path in [Path(name).resolve() for name in sys.argv[1:]] or pages():
        print(f"{path.name}: {update(path)} outputs rewritten")
