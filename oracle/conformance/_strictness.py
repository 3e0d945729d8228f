"""Strict or lax: what a subject does where there is no answer, a verdict apart from numbers."""

from collections.abc import Iterable
from dataclasses import dataclass

from oracle.conformance._check import MISMATCH
from oracle.conformance._checks.refusals import HAS_TO_BE_REFUSED
from oracle.conformance._outcome import LAX, STRICT, Outcome


@dataclass(frozen=True)
class Strictness:
    """verdict: STRICT or LAX. how: what it does in place of refusing, each in one line."""

    verdict: str
    how: tuple[str, ...] = ()


def strictness(outcomes: Iterable[Outcome]) -> Strictness | None:
    """What the checks of refusals say together; None where none was asked."""
    asked = [one for one in outcomes if one.check.refusals and one.verdict in (STRICT, LAX)]
    if not asked:
        return None
    how: dict[str, dict[str, int]] = {}
    for outcome in asked:
        for one in outcome.seen:
            if one.finding.verdict == MISMATCH:
                did = one.finding.says.partition(HAS_TO_BE_REFUSED)[2] or one.finding.says
                times = how.setdefault(one.example.why, {})
                times[did] = times.get(did, 0) + 1
    lines = [f"{why}: {_often(times)}" for why, times in how.items()]
    return Strictness(LAX if lines else STRICT, tuple(lines))


def _often(times: dict[str, int]) -> str:
    """What was done, the most frequent first.

    >>> _often({"it answered": 1, "it crashed": 2})
    'it crashed (2 times); it answered'
    """
    ordered = sorted(times, key=lambda did: -times[did])
    return "; ".join(did if times[did] == 1 else f"{did} ({times[did]} times)" for did in ordered)
