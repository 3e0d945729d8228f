"""The command line of the oracle."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from oracle.adapters.own_process import isolated
from oracle.adapters.program import command
from oracle.adapters.subject import NoSubject, Subject
from oracle.bounds._rounding import FORMATS
from oracle.conformance import _power as power
from oracle.conformance._catalogue import checks_at
from oracle.conformance._html import page
from oracle.conformance._judge import Judgement, judge
from oracle.conformance._mutants_page import first_seen, seen_of
from oracle.conformance._mutants_page import page as mutants_page
from oracle.conformance._outcome import RIGHT, UNDECIDED, WRONG
from oracle.conformance._plots import NoPlots, require_matplotlib
from oracle.conformance._readings import lines
from oracle.conformance._replay import save_failures
from oracle.conformance._sizes import DEFAULT, SIZES
from oracle.conformance._table import as_data, head, line, summary
from oracle.golden._vectors import write

EXIT = {RIGHT: 0, WRONG: 1, UNDECIDED: 3}
USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0 for right, 1 wrong, 3 undecided, 2 misuse."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except (NoSubject, NoPlots, OSError) as error:
        print(f"oracle: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("oracle: interrupted", file=sys.stderr)
        return 130


def _judge(given: argparse.Namespace) -> int:
    checks = checks_at(given.sizes, given.only or ())
    if not checks:
        names = ", ".join(check.name for check in checks_at(given.sizes))
        asked = f"--only {' '.join(given.only)} at --sizes {given.sizes}"
        raise NoSubject(f"no check fits {asked}; they are {names}")
    if given.device == "cuda" and not torch.cuda.is_available():
        raise NoSubject("no GPU is to be had here, so nothing was checked; leave out --device cuda")
    if given.html:
        require_matplotlib()
    for path in filter(None, (given.json, given.html)):
        if not Path(path).absolute().parent.is_dir():
            raise NoSubject(f"{path} cannot be written: its folder is not there; make it first")
    with _subject(given) as subject:
        if not given.quiet:
            _show(head())
        found = judge(
            subject,
            checks,
            count=given.examples,
            told=lambda outcome: None if given.quiet else _show(line(outcome)),
        )
        read = lines(subject, found.divergence) if found.divergence else []
    if given.quiet:
        _show("\n".join(line(o) for o in found.outcomes if o.verdict in (WRONG, UNDECIDED)))
    print(f"\n{summary(found, read)}")
    _write(given, found, read)
    return EXIT.get(found.verdict, USAGE)


def _show(text: str) -> None:
    if text:
        print(text, flush=True)


def _subject(given: argparse.Namespace) -> AbstractContextManager[Subject]:
    if bool(given.subject) == bool(given.command):
        raise NoSubject('name one subject: module:attribute, or --command "program arguments"')
    if given.command:
        return command(given.command, seconds=given.seconds)
    options = {"dtype": given.dtype, "device": given.device}
    chosen = {name: value for name, value in options.items() if value is not None}
    return isolated(given.subject, seconds=given.seconds, **chosen)


def _write(given: argparse.Namespace, found: Judgement, read: Sequence[str]) -> None:
    if given.save:
        save_failures(found, Path(given.save))
    if given.json:
        text = json.dumps(as_data(found), indent=2, ensure_ascii=False) + "\n"
        Path(given.json).write_text(text, encoding="utf-8")
    if given.html:
        Path(given.html).write_text(page(found, lines=read), encoding="utf-8")


def _power(given: argparse.Namespace) -> int:
    cells, honest = power.kills_and_alarms(given.dtype)
    print("\n".join(power.matrix(cells)))
    left, total = power.survivors(cells), len({cell.mutant for cell in cells})
    print(f"\n{given.dtype}: {total - len(left)} of {total} mutants are seen")
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


def _mutants(given: argparse.Namespace) -> int:
    cells = [*power.kills("float32"), *power.kills("float64", only=power.only_in("float64"))]
    seen = first_seen(cells)
    Path(given.file).write_text(mutants_page(seen), encoding="utf-8")
    print(f"wrote {len(seen)} mutants to {given.file}")
    return 0


def _vectors(given: argparse.Namespace) -> int:
    write(Path(given.folder))
    print(f"wrote the golden vectors to {given.folder}; its README.md says how to read them")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m oracle", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    judging = commands.add_parser("judge", help="is this GPT-2 right?", description=JUDGE)
    judging.add_argument("subject", nargs="?", help="as in mypackage.adapter:subject")
    judging.add_argument(
        "--command", metavar="LINE", help="a program that answers JSON lines (no shell)"
    )
    judging.add_argument("--only", nargs="+", metavar="PATTERN", help='checks, as in "model/*"')
    judging.add_argument(
        "--sizes", choices=SIZES, default=DEFAULT, help=f"how large, and all below it ({DEFAULT})"
    )
    judging.add_argument("--examples", type=_count, metavar="N", help="how many for each check")
    judging.add_argument("--seconds", type=_seconds, default=20.0, help="limit of a call (20)")
    judging.add_argument("--dtype", choices=FORMATS, help="handed to a subject that is a function")
    judging.add_argument("--device", help="handed to a subject that is a function: cpu, cuda")
    judging.add_argument("--json", metavar="FILE", help="write all of it as JSON")
    judging.add_argument("--html", metavar="FILE", help="write a report, one page for a browser")
    judging.add_argument("--save", metavar="FOLDER", help="write what fails, and how to replay it")
    judging.add_argument(
        "--quiet", action="store_true", help="print only what is wrong, and the summary"
    )
    judging.set_defaults(run=_judge)
    seeing = commands.add_parser("power", help="which bugs the checks see", description=POWER)
    seeing.add_argument("--dtype", choices=FORMATS, default="float32")
    seeing.add_argument("--page", metavar="FILE", help="a page of bugs, to be held to the same")
    seeing.set_defaults(run=_power)
    listing = commands.add_parser("mutants", help="write the page of bugs", description=LISTING)
    listing.add_argument("file", help="the page, as Markdown: docs/mutants.md")
    listing.set_defaults(run=_mutants)
    writing = commands.add_parser("vectors", help="write golden vectors", description=VECTORS)
    writing.add_argument("folder", help="where to; it is made if it is not there")
    writing.set_defaults(run=_vectors)
    return parser


JUDGE = """Judge a GPT-2, or the parts of one. What it does not offer is not judged. Exit code:
0 right, 1 wrong, 3 undecided (too many ties), 2 no subject. oracle/adapters/subject.py says what a
Python subject offers, oracle/adapters/PROTOCOL.md what a program in any language answers."""
POWER = """Put every check before every known bug, in the PyTorch path, and before honest other
implementations. Exit code 1 where a bug is not seen in float32 or float64, or where a check gives a
false alarm."""
LISTING = """Write the catalogue of known bugs as a page: each mutant, its source, and the check
that sees it first. It puts every check before every bug, as power does."""
VECTORS = """Write small complete cases: configuration, weights, tokens, every activation, the
tokens of every decoder, as safetensors and JSON."""


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time limit; give seconds above 0")
    return seconds


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of examples; give 1 or more")
    return int(text)
