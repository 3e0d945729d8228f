"""`python -m oracle power`: which bugs the checks see."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oracle.bounds._rounding import FORMATS
from oracle.conformance import _names as names
from oracle.conformance import _power as power
from oracle.conformance._mutants_page import seen_of
from oracle.conformance._program._arguments import count
from oracle.conformance._sizes import SIZES

ABOUT = """Put every check before every known bug, in the PyTorch path, and before honest other
implementations. Exit code 1 where a bug is not seen in float32 or float64, or where a check gives a
false alarm. With --names: whether the judge calls each bug by its own name, through the narrowest
offer that shows it, alone and within narrow claims."""


def add(commands: Any) -> None:
    """The command, on the parser."""
    parser = commands.add_parser("power", help="which bugs the checks see", description=ABOUT)
    parser.add_argument("--dtype", choices=FORMATS, default="float32")
    parser.add_argument("--page", metavar="FILE", help="a page of bugs, to be held to the same")
    parser.add_argument("--names", action="store_true", help="whether bugs get their own names")
    parser.add_argument("--sample", type=count, metavar="N", help="of so many bugs (--names)")
    parser.add_argument("--progress", metavar="FILE", help="go on from what it has (--names)")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Print what is seen, or with --names what is called what; the exit code."""
    if given.names:
        progress = Path(given.progress) if given.progress else None
        print("\n".join(names.table(names.names(sample=given.sample, progress=progress))))
        return 0
    cells, honest = power.kills_and_alarms(given.dtype)
    print("\n".join(power.matrix(cells)))
    left, total = power.survivors(cells), len({cell.mutant for cell in cells})
    print(f"\n{given.dtype}: {total - len(left)} of {total} mutants are seen")
    at = Counter(power.smallest_sizes(cells).values())
    print(f"  {', '.join(f'{at[size]} at size {size}' for size in SIZES if at[size])}")
    unseen = _unseen_by_page(given.page, cells)
    for mutant, check in unseen.items():
        print(f"  {given.page} says that {check} sees {mutant}; it does not: write the page again")
    for mutant, error in left.items():
        print(f"  {mutant} is not: its largest error is {error:.2g} of what rounding may do")
    false = [cell for cell in honest if cell.mismatches]
    tried = sum(cell.examples for cell in honest)
    worst = max(cell.error for cell in honest)
    print(
        f"{len({cell.mutant for cell in honest})} honest implementations, {tried} examples in all: "
        f"{sum(cell.mismatches for cell in false)} false alarms; "
        f"the largest error is {worst:.2g} of what rounding may do"
    )
    for cell in false:
        print(f"  {cell.mutant} in {cell.check}: {cell.says}")
    return 1 if false or unseen or (left and given.dtype in ("float32", "float64")) else 0


def _unseen_by_page(page: str | None, cells: Sequence[power.Cell]) -> dict[str, str]:
    """Mutants of a page that the check which it names does not see, by these cells."""
    if page is None:
        return {}
    mismatches = {(cell.mutant, cell.check): cell.mismatches for cell in cells}
    named_checks = seen_of(Path(page).read_text(encoding="utf-8"))
    return {m: check for m, check in named_checks.items() if mismatches.get((m, check)) == 0}
