"""The command line of the oracle, one module for each command."""

import argparse
import sys
from collections.abc import Sequence

from oracle.adapters.subject import NoSubject
from oracle.conformance._plots import NoPlots
from oracle.conformance._program import _judge, _mutants, _power, _vectors

USAGE, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is that of the command, 2 for misuse."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except (NoSubject, NoPlots, OSError) as error:
        print(f"oracle: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("oracle: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m oracle",
        description="Judge a GPT-2, show what the judge can see, write golden vectors.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (_judge, _power, _mutants, _vectors):
        module.add(commands)
    return parser
