"""`python -m oracle vectors`: golden vectors."""

import argparse
from pathlib import Path
from typing import Any

from oracle.golden._vectors import write

ABOUT = """Write small complete cases: configuration, weights, tokens, every activation, the
tokens of every decoder, as safetensors and JSON."""


def add(commands: Any) -> None:
    """The command, on the parser."""
    parser = commands.add_parser("vectors", help="write golden vectors", description=ABOUT)
    parser.add_argument("folder", help="where to; it is made if it is not there")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    write(Path(given.folder))
    print(f"wrote the golden vectors to {given.folder}; its README.md says how to read them")
    return 0
