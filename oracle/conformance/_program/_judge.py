"""`python -m oracle judge`: is this GPT-2 right?"""

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import torch

from oracle.adapters.answers import printable
from oracle.adapters.guard import guarded
from oracle.adapters.own_process import SECONDS, isolated
from oracle.adapters.program import command
from oracle.adapters.subject import NoSubject, Subject, load
from oracle.bounds._rounding import FORMATS
from oracle.checkpoints import FORMATS as FORMATS_OF_FILES
from oracle.conformance._catalogue import CHECKS, checks_at
from oracle.conformance._check import Check
from oracle.conformance._html import page
from oracle.conformance._judge import Judgement, judge
from oracle.conformance._known_failures import read_known_failures
from oracle.conformance._outcome import NOT_JUDGED, RIGHT, UNDECIDED, WRONG, Outcome
from oracle.conformance._plots import require_matplotlib
from oracle.conformance._program._arguments import count, seconds, seed
from oracle.conformance._program._progress import progress
from oracle.conformance._readings import lines
from oracle.conformance._replay import save_failures
from oracle.conformance._sizes import DEFAULT, SIZES
from oracle.conformance._table import as_data, head, line, summary

Judging: TypeAlias = Callable[[Callable[[Outcome], None]], Judgement]
EXIT_RIGHT, EXIT_WRONG, EXIT_UNDECIDED, EXIT_LAX, EXIT_NOTHING, EXIT_OUTDATED = 0, 1, 3, 4, 5, 6
ABOUT = """Judge a GPT-2, or the parts of one. What it does not offer is not judged. Exit code:
0 right; 1 wrong numbers; 2 misuse, or no subject; 3 undecided: too many ties or refusals, or out of
time; 4 right numbers, but lax refusals or more exact than claimed, under --strict; 5 nothing was
judged; 6 right, and so is a check that --xfail says fails; 130 interrupted.
oracle/adapters/subject.py says what a Python subject offers, oracle/adapters/PROTOCOL.md what a
program in any language answers."""
TIME_LIMIT = "of all: what is not reached is not judged"
IN_PROCESS = "a Python subject that you trust, in the judge's process: quicker; it must not hang"


def add(commands: Any) -> None:
    """The command, on the parser."""
    parser = commands.add_parser("judge", help="is this GPT-2 right?", description=ABOUT)
    option = parser.add_argument
    option("subject", nargs="?", help="as in mypackage.adapter:subject")
    option("--command", metavar="LINE", help="a program that answers JSON lines (no shell)")
    option("--format", choices=FORMATS_OF_FILES, default="safetensors", help="of {checkpoint}")
    option("--checkpoint", metavar="FOLDER", help="a real model, to hold the subject to")
    option("--prompts", metavar="FILE", help="a text that prompts for the checkpoint are cut from")
    option("--openai", metavar="URL", help="a completions endpoint with the checkpoint loaded")
    option("--model", metavar="NAME", help="what the endpoint calls the checkpoint")
    option("--api-key-env", metavar="VARIABLE", help="the environment variable with its key")
    option("--request", metavar="JSON", help="fields that go with every request to it")
    option("--only", nargs="+", metavar="PATTERN", help='checks, as in "model/*"')
    option("--sizes", choices=SIZES, default=DEFAULT, help=f"how large, with all below ({DEFAULT})")
    option("--examples", type=count, metavar="N", help="how many for each check")
    option("--seed", type=seed, metavar="N", help="of the examples; without it, a fresh one")
    option("--strict", action="store_true", help="to answer where there is no answer is wrong")
    option("--seconds", type=seconds, default=SECONDS, help=f"limit of a call ({SECONDS:g})")
    option("--time-limit", type=seconds, default=math.inf, metavar="SECONDS", help=TIME_LIMIT)
    option("--in-process", action="store_true", help=IN_PROCESS)
    option("--no-diagnosis", action="store_true", help="the verdict alone: no place, no name")
    option("--dtype", choices=FORMATS, help="handed to a subject that is a function")
    option("--device", help="handed to a subject that is a function: cpu, cuda")
    option("--xfail", metavar="FILE", help="known failures: a check a line, a colon, the reason")
    option("--json", metavar="FILE", help="write all of it as JSON")
    option("--html", metavar="FILE", help="write a report, one page for a browser")
    option("--save", metavar="FOLDER", help="write what fails, and how to replay it")
    option("--quiet", action="store_true", help="print only what is wrong, and the summary")
    parser.set_defaults(run=run)


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The options that these words of a command line give. Raises SystemExit as argparse does."""
    parser = argparse.ArgumentParser(prog="python -m oracle")
    add(parser.add_subparsers())
    return parser.parse_args(["judge", *words])


def run(given: argparse.Namespace) -> int:
    """Judge what is named, say and write what comes of it: the exit code."""
    show_progress = progress()

    def show_outcome(outcome: Outcome) -> None:
        show_progress("")
        if not given.quiet:
            _show(line(outcome))

    with judging_of(given, show_progress) as (subject, judging):
        if not given.quiet:
            _show(head())
        judgement = judging(show_outcome)
        place = judgement.divergence
        read = lines(subject, place) if place and judgement.diagnosed else []
    show_progress("")
    if given.quiet:
        notable = (WRONG, UNDECIDED, NOT_JUDGED)
        _show("\n".join(line(o) for o in judgement.outcomes if o.verdict in notable))
    _show(f"\n{summary(judgement, read)}")
    write_reports(given, judgement, read)
    return exit_code(judgement)


def exit_code(judgement: Judgement) -> int:
    """What the command ends with; 0 only where something was judged, and is right."""
    if judgement.numbers == WRONG:
        return EXIT_WRONG
    if judgement.verdict == WRONG:
        return EXIT_LAX
    if judgement.numbers == UNDECIDED:
        return EXIT_UNDECIDED
    if judgement.numbers != RIGHT:
        return EXIT_NOTHING if judgement.refusals is None else EXIT_RIGHT
    return EXIT_OUTDATED if judgement.outdated else EXIT_RIGHT


@contextmanager
def judging_of(
    given: argparse.Namespace, show_progress: Callable[[str], None] = lambda words: None
) -> Iterator[tuple[Subject, Judging]]:
    """The subject and what judges it, told what to call with each outcome."""
    if given.checkpoint or given.openai:
        from oracle.engines._command_line import held_to_checkpoint

        look_ahead(given)
        with held_to_checkpoint(given) as pair:
            yield pair
        return
    if given.prompts:
        raise NoSubject("--prompts are for a real model; name it too, with --checkpoint FOLDER")
    checks = checks_of(given)
    known_failures = known_failures_of(given)
    look_ahead(given)
    with subject_of(given) as subject:
        yield (
            subject,
            lambda on_outcome: judge(
                subject,
                checks,
                count=given.examples,
                seed=given.seed,
                strict=given.strict,
                known_failures=known_failures,
                time_limit=given.time_limit,
                diagnosis=not given.no_diagnosis,
                on_outcome=on_outcome,
                on_progress=show_progress,
            ),
        )


def checks_of(given: argparse.Namespace) -> Sequence[Check]:
    """The checks that are asked. Raises NoSubject where there is none."""
    checks = checks_at(given.sizes, given.only or ())
    if not checks:
        names = ", ".join(check.name for check in checks_at(given.sizes))
        asked = f"--only {' '.join(given.only)}"
        raise NoSubject(f"no check fits {asked}; they are {names}, at --sizes {given.sizes}")
    if _on_files(given):
        from oracle.engines._command_line import few_models

        return few_models(checks, given.examples)
    return checks


def known_failures_of(given: argparse.Namespace) -> dict[str, str]:
    """What the file of --xfail says; see `read_known_failures` for what it raises."""
    names = [check.name for check in CHECKS]
    return read_known_failures(given.xfail, names) if given.xfail else {}


def look_ahead(given: argparse.Namespace) -> None:
    """Raise NoSubject or NoPlots for what would fail only after everything has been asked."""
    if given.device == "cuda" and not torch.cuda.is_available():
        raise NoSubject("no GPU is to be had here, so nothing was checked; leave out --device cuda")
    if given.html:
        require_matplotlib()
    for path in filter(None, (given.json, given.html)):
        if not Path(path).absolute().parent.is_dir():
            raise NoSubject(f"{path} cannot be written: its folder is not there; make it first")


def _show(text: str) -> None:
    if text:
        print(printable(text), flush=True)


def subject_of(given: argparse.Namespace) -> AbstractContextManager[Subject]:
    """The subject that is named, once the context is entered. Raises NoSubject if it is not one."""
    if bool(given.subject) == bool(given.command):
        raise NoSubject('name one subject: module:attribute, or --command "program arguments"')
    if given.command and given.in_process:
        raise NoSubject("a program runs in a process of its own; leave out --in-process")
    if _on_files(given):
        from oracle.engines._command_line import engine_of_command

        return engine_of_command(given)
    if given.command:
        return command(given.command, seconds=given.seconds)
    options = {"dtype": given.dtype, "device": given.device}
    chosen = {name: value for name, value in options.items() if value is not None}
    if given.in_process:
        return nullcontext(guarded(load(given.subject, **chosen)))
    return isolated(given.subject, seconds=given.seconds, **chosen)


def _on_files(given: argparse.Namespace) -> bool:
    """Whether the command is an engine's, which is started on the file of each model."""
    return bool(given.command) and "{checkpoint}" in given.command


def write_reports(given: argparse.Namespace, found: Judgement, read: Sequence[str]) -> None:
    """The files that were asked for."""
    if given.save:
        save_failures(found, Path(given.save))
    if given.json:
        text = json.dumps(as_data(found), indent=2, ensure_ascii=False) + "\n"
        Path(given.json).write_text(text, encoding="utf-8")
    if given.html:
        Path(given.html).write_text(page(found, lines=read), encoding="utf-8")
