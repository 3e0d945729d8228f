"""gpt2_checks: the judge's checks as a parametrised test in one's own test file."""

import atexit
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from oracle.adapters.guard import guarded
from oracle.adapters.own_process import isolated
from oracle.adapters.subject import NoSubject, Subject, as_subject
from oracle.conformance._as_tests import CheckFailed, failure, offered, passes
from oracle.conformance._catalogue import CHECKS, checks_at
from oracle.conformance._check import Check
from oracle.conformance._explore import fresh_seed
from oracle.conformance._known_failures import check_names, read_known_failures
from oracle.conformance._outcome import Outcome, run
from oracle.conformance._sizes import DEFAULT


@dataclass(frozen=True)
class SubjectCheck:
    """A check of a subject, to be called in a test: one parameter of `gpt2_checks`."""

    check: Check
    subject: Subject
    seed: int
    examples: int | None = None
    strict: bool = False

    @property
    def name(self) -> str:
        """The check's, such as "ops/gelu_new"."""
        return self.check.name

    def __call__(self) -> Outcome:
        """Ask it. Raises an AssertionError that says what is wrong, by the smallest example."""
        outcome = run(self.check, self.subject, count=self.examples, seed=self.seed)
        if not passes(outcome, strict=self.strict):
            raise CheckFailed(failure(outcome, f"seed {self.seed}"))
        return outcome


def gpt2_checks(
    subject: Any,
    *,
    sizes: str = DEFAULT,
    only: str | Sequence[str] = (),
    seed: int | None = 0,
    examples: int | None = None,
    xfail: str | Path | Mapping[str, str] | None = None,
    strict: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Parametrise a test of one's own: it is called with each `check` of what the subject offers.

    subject: a `Subject`, or anything with some of its fields, which is judged in this process; or
    the text "package.module:attribute", which is loaded in a process of its own, one for each
    worker of pytest-xdist. sizes: up to which of `conformance.SIZES`. only: patterns of names, as
    in a shell. seed: says which examples; the same each time by default, None for fresh ones.
    examples: how many, by default each check's own number. xfail: known failures, reasons by the
    names of checks, or the file that has them: strict, so one that is right is told. strict: to
    answer where there is no answer is wrong.

    Raises NoSubject where there is nothing to judge, or no such check is known to fail, and
    ValueError for an unknown size.

    >>> subject = {"name": "mine", "ops": {"relu": lambda x: x * (x > 0)}}
    >>> @gpt2_checks(subject, sizes="toy")
    ... def test_gpt2(check):
    ...     check()
    >>> [mark.args[0] for mark in test_gpt2.pytestmark]
    ['check']
    """
    patterns = [only] if isinstance(only, str) else list(only)
    opened = _opened(subject)
    seed = fresh_seed() if seed is None else seed
    names = [check.name for check in CHECKS]
    if isinstance(xfail, Mapping):
        check_names(xfail, names, "xfail")
        known = dict(xfail)
    else:
        known = {} if xfail is None else read_known_failures(xfail, names)
    asked = [check for check in checks_at(sizes, patterns) if offered(check, opened)]
    if not asked:
        fits = f" of {', '.join(patterns)}" if patterns else ""
        raise NoSubject(f"{opened.name} offers nothing that a check{fits} at {sizes} asks for")
    return pytest.mark.parametrize(
        "check",
        [
            pytest.param(
                SubjectCheck(check, opened, seed, examples, strict),
                id=check.name,
                marks=_xfail(known.get(check.name)),
            )
            for check in asked
        ],
    )


def _xfail(reason: str | None) -> Sequence[pytest.MarkDecorator]:
    return [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]


def _opened(offer: Any) -> Subject:
    if isinstance(offer, str):
        process = ExitStack()
        atexit.register(process.close)  # tests are collected before, and run after, any fixture
        return process.enter_context(isolated(offer))
    if isinstance(offer, type | FunctionType):
        offer = offer()
    name = getattr(offer, "__name__", type(offer).__name__)
    return guarded(as_subject(offer, name=name))
