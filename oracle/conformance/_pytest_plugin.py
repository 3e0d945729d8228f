"""pytest plugin's hooks: the checks as tests, beside one's own, and their summary at the end.

`pytest_gpt2`, which pytest finds by itself, registers them where a subject is given. Under
pytest-xdist each worker has a subject of its own, and sends its outcomes to the process that
prints the summary.
"""

import argparse
import contextlib
import hashlib
import io
import pickle
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from oracle.adapters.answers import printable
from oracle.adapters.subject import NoSubject, Subject
from oracle.conformance._as_tests import CheckFailed, failure, offered, passes
from oracle.conformance._catalogue import CHECKS
from oracle.conformance._check import MISMATCH, Check
from oracle.conformance._explore import fresh_seed
from oracle.conformance._judge import judgement_of
from oracle.conformance._outcome import NOT_JUDGED, NOT_OFFERED, Outcome, Seen, run
from oracle.conformance._pace import Pace
from oracle.conformance._plots import NoPlots
from oracle.conformance._program import _judge as command
from oracle.conformance._readings import lines
from oracle.conformance._table import summary

SENT = "gpt2_outcomes"  # under which a worker of pytest-xdist sends its outcomes


@dataclass
class Session:
    """What is judged in this process: as what, by which examples, and what came of it.

    by_key: whether the subject stands in pytest's configuration, and not on the command line.
    """

    options: argparse.Namespace
    seed: int
    known_failures: Mapping[str, str]
    by_key: bool
    outcomes: list[Outcome] = field(default_factory=list)
    process: ExitStack = field(default_factory=ExitStack)
    subject: Subject | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def pace(self) -> Pace:
        """What time is left, of all that pytest judges."""
        deadline = self.began + self.options.time_limit
        return Pace(deadline, diagnosis=not self.options.no_diagnosis)

    def open(self) -> Subject:
        """The subject, which is started when it is first asked for."""
        if self.subject is None:
            self.subject = self.process.enter_context(command.subject_of(self.options))
        return self.subject


SESSION = pytest.StashKey[Session]()


def configure(config: pytest.Config, given: Mapping[str, Any], *, by_key: bool) -> None:
    """Read the options. Raises pytest.UsageError, in one line, for what cannot be."""
    try:
        options = _parsed(given)
        command.look_ahead(options)
        known_failures = command.known_failures_of(options)
    except (NoSubject, NoPlots, OSError) as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[SESSION] = Session(options, _seed(config, options), known_failures, by_key)


def _parsed(given: Mapping[str, Any]) -> argparse.Namespace:
    """The options as the command reads them, so that they mean the same and are told the same."""
    words: list[str] = []
    for name, value in given.items():
        if isinstance(value, list):
            words += [f"--{name}", *value]
        elif isinstance(value, bool):
            words.append(f"--{name}")
        else:
            words += [value] if name == "subject" else [f"--{name}={value}"]
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return command.parsed(words)
    except SystemExit:
        line = complaint.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise pytest.UsageError(line.replace("argument --", "--gpt2-")) from None


def _seed(config: pytest.Config, options: argparse.Namespace) -> int:
    """The seed that was asked for, or a fresh one; all processes of pytest-xdist have the same."""
    if options.seed is not None:
        return int(options.seed)
    run_id = getattr(config, "workerinput", {}).get("testrunuid")
    if run_id is None:
        return fresh_seed()
    return int(hashlib.sha256(run_id.encode()).hexdigest()[:8], 16)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """A test for each check of what is offered, after all others; -k chooses among them too.

    None where the subject stands in the configuration, and tests were asked for one by one.
    """
    gpt2 = config.stash[SESSION]
    if gpt2.by_key and any("::" in argument for argument in config.args):
        return
    try:
        subject, checks = gpt2.open(), command.checks_of(gpt2.options)
    except NoSubject as error:
        raise pytest.UsageError(str(error)) from error
    for check in checks:
        if not offered(check, subject):
            gpt2.outcomes.append(Outcome(check, NOT_OFFERED))
            continue
        item = CheckItem.from_parent(
            session, name=f"gpt2[{check.name}]", nodeid=f"gpt2::{check.name}", check=check
        )
        if reason := gpt2.known_failures.get(check.name):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        items.append(item)


class CheckItem(pytest.Item):
    """One check of the subject."""

    def __init__(self, *, check: Check, **item: Any) -> None:
        super().__init__(**item)
        self.check = check

    def runtest(self) -> None:
        """Ask the check; raise CheckFailed where it is wrong or undecided."""
        gpt2 = self.config.stash[SESSION]
        subject = gpt2.open()
        given = gpt2.options
        outcome = run(self.check, subject, count=given.examples, seed=gpt2.seed, pace=gpt2.pace)
        gpt2.outcomes.append(outcome)
        # What JUnit's files and other reports take over.
        self.user_properties += [
            ("gpt2_subject", subject.name),
            ("gpt2_dtype", subject.dtype),
            ("gpt2_seed", gpt2.seed),
            ("gpt2_verdict", outcome.verdict),
        ]
        if outcome.verdict == NOT_JUDGED:
            pytest.skip(f"{NOT_JUDGED}: {outcome.says}")
        if not passes(outcome, strict=gpt2.options.strict):
            again = f"with --gpt2-seed={gpt2.seed} the examples are the same again"
            raise CheckFailed(failure(outcome, again))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What is wrong, without a traceback through the judge."""
        if isinstance(excinfo.value, CheckFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, int | None, str]:
        """Where it stands, for the report."""
        return self.check.name, None, self.name


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What the command prints at its end, and the reports that were asked for."""
    gpt2 = config.stash[SESSION]
    if not any(outcome.seen for outcome in gpt2.outcomes):
        return
    judgement = judgement_of(gpt2.open(), in_order(gpt2.outcomes), pace=gpt2.pace)
    judgement = replace(
        judgement,
        about=judgement.about | {"seconds": round(time.monotonic() - gpt2.began, 1)},
        seed=gpt2.seed,
        strict=gpt2.options.strict,
        known_failures=gpt2.known_failures,
    )
    read = lines(gpt2.open(), judgement.divergence) if judgement.divergence else []
    terminalreporter.section("gpt2")
    text = summary(judgement, read).replace("with --", "with --gpt2-")
    terminalreporter.write_line(printable(text))
    command.write_reports(gpt2.options, judgement, read)


def in_order(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """One outcome of each check, in the catalogue's order, whichever process asked it."""
    by_name = {outcome.check.name: outcome for outcome in outcomes}
    return [by_name[check.name] for check in CHECKS if check.name in by_name]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist sends what came of its checks."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        gpt2 = session.config.stash[SESSION]
        output[SENT] = pickle.dumps((gpt2.seed, [_sent(outcome) for outcome in gpt2.outcomes]))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what a worker has sent, which is a process of this very program."""
    sent = getattr(node, "workeroutput", {}).get(SENT)
    if sent is not None:
        gpt2 = node.config.stash[SESSION]
        gpt2.seed, outcomes = pickle.loads(sent)
        by_name = {check.name: check for check in CHECKS}
        gpt2.outcomes += [replace(outcome, check=by_name[name]) for name, outcome in outcomes]


def _sent(outcome: Outcome) -> tuple[str, Outcome]:
    """An outcome without its check, which is found by its name; with examples where they tell."""
    seen = outcome.seen
    if not outcome.counts[MISMATCH]:
        seen = tuple(Seen(None, None, one.finding) for one in seen)
    return outcome.check.name, replace(outcome, check=None, seen=seen)  # type: ignore[arg-type]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the subject go."""
    config.stash[SESSION].process.close()
