"""`python -m oracle mutants`: the page of known bugs."""

import argparse
from pathlib import Path
from typing import Any

from oracle.conformance import _power as power
from oracle.conformance._mutants_page import first_seen, page

ABOUT = """Write the catalogue of known bugs as a page: each mutant, its source, and the check
that sees it first. It puts every check before every bug, as power does."""


def add(commands: Any) -> None:
    """The command, on the parser."""
    parser = commands.add_parser("mutants", help="write the page of bugs", description=ABOUT)
    parser.add_argument("file", help="the page, as Markdown: docs/mutants.md")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    cells = [*power.kills("float32"), *power.kills("float64", only=power.only_in("float64"))]
    seen = first_seen(cells)
    Path(given.file).write_text(page(seen), encoding="utf-8")
    print(f"wrote {len(seen)} mutants to {given.file}")
    return 0
