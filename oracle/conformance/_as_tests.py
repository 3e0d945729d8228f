"""Checks as tests: which of them are tests of a subject, and what a failing one says."""

from oracle.adapters.subject import Subject
from oracle.conformance._check import Check
from oracle.conformance._outcome import LAX, RIGHT, STRICT, Outcome
from oracle.conformance._table import head, line

LARGEST_SHOWN = 2000  # characters of an example


class CheckFailed(AssertionError):  # noqa: N818
    """A check finds a subject wrong, or cannot decide."""


def offered(check: Check, subject: Subject) -> bool:
    """Whether the subject offers what the check asks of, within what it claims."""
    return subject.function(check.needs) is not None and check.examples(subject) is not None


def passes(outcome: Outcome, *, strict: bool) -> bool:
    """Whether the check is right; answers where there is none are wrong with `strict` only."""
    return outcome.verdict in (RIGHT, STRICT) or (outcome.verdict == LAX and not strict)


def failure(outcome: Outcome, again: str) -> str:
    """What is wrong, how often, by which example. again: how the same examples are asked again."""
    lines = [f"{outcome.verdict}: {outcome.says}", head(), line(outcome), f"    {again}"]
    if outcome.worst:
        shown = repr(outcome.worst.example)
        more = f" … {len(shown) - LARGEST_SHOWN} characters more"
        lines.append(f"    {shown[:LARGEST_SHOWN]}{more if len(shown) > LARGEST_SHOWN else ''}")
    return "\n".join(lines)
