"""Putting one check before one subject, and what comes of it."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oracle.adapters.guard import DIED, HUNG, RAISED, Misbehaviour
from oracle.adapters.subject import Subject
from oracle.conformance._check import MATCH, MISMATCH, REFUSED, TIE, Check, Finding
from oracle.conformance._explore import collect, smallest
from oracle.conformance._pace import UNHURRIED, Pace
from oracle.conformance._several import Several

RIGHT, UNDECIDED, WRONG, NOT_OFFERED = "right", "undecided", "wrong", "not offered"
NOT_JUDGED = "not judged"  # for want of time
STRICT, LAX = "strict", "lax"  # of a check of refusals
# More ties and refusals than this part of the examples, and than one, leave a check undecided.
MOST_TIES = 0.01
# A subject that hangs or dies as often as this in one check is not asked further in it.
MOST_DEATHS = 3


@dataclass(frozen=True)
class Seen:
    """One example, what the subject made of it, and how that compares."""

    example: Any
    answer: Any
    finding: Finding


@dataclass(frozen=True)
class Outcome:
    """What a check found of a subject.

    verdict: RIGHT; WRONG, with at least one mismatch; UNDECIDED, with too many ties or refusals;
    NOT_OFFERED; NOT_JUDGED, where time was up before all were asked, and none of them mismatches.
    Of a check of refusals it is STRICT or LAX. seen: every example. worst: the mismatch on the
    smallest example found, where there is one. planned: how many examples were to be asked.
    """

    check: Check
    verdict: str
    seen: tuple[Seen, ...] = ()
    worst: Seen | None = None
    planned: int = 0

    @property
    def counts(self) -> Counter[str]:
        """How many of each verdict."""
        return Counter(one.finding.verdict for one in self.seen)

    @property
    def error(self) -> float:
        """The largest error of the examples that match, as a part of what is allowed."""
        return max((s.finding.error for s in self.seen if s.finding.verdict == MATCH), default=0.0)

    @property
    def says(self) -> str:
        """Why it is wrong or undecided, in one line."""
        if self.worst:
            return self.worst.finding.says
        if self.verdict == NOT_JUDGED:
            return f"out of time after {len(self.seen)} of {self.planned} examples"
        if self.verdict == UNDECIDED:
            return next(s.finding.says for s in self.seen if s.finding.verdict in (TIE, REFUSED))
        return ""


def run(
    check: Check,
    subject: Subject,
    *,
    count: int | None = None,
    seed: int = 0,
    shrink: bool = True,
    pace: Pace = UNHURRIED,
) -> Outcome:
    """Ask the check of the subject, with `count` examples (by default the check's own number).

    What is larger than a toy is never asked more often than by default, since each costs much.
    seed: says which examples. shrink: look for a smaller example where one fails. pace: no example
    is asked when its time is up.
    """
    strategy = None if subject.function(check.needs) is None else check.examples(subject)
    if strategy is None:
        return Outcome(check, NOT_OFFERED)
    count, seen = count or check.count, []
    if check.size != "toy":
        count = min(count, check.count)
    examples = [] if pace.over else _examples(check, subject, count, seed)
    planned = len(examples) or count
    stopped = False
    for number, example in enumerate(examples, start=1):
        if pace.over:
            break
        pace.on_progress(f"{check.name}: example {number} of {planned}")
        seen.append(look(check, subject, example))
        deaths = sum(_dead(one) for one in seen)
        if stopped := (deaths >= MOST_DEATHS or _hung(seen[-1])):
            break
    counts = Counter(one.finding.verdict for one in seen)
    reached = stopped or len(seen) == planned
    verdict = _verdict(check, counts) if reached or counts[MISMATCH] else NOT_JUDGED
    worst = next((one for one in seen if one.finding.verdict == MISMATCH), None)
    # Of several cases the one that is wrong is known: another seed's would be no smaller.
    single = worst and not _dead(worst) and not isinstance(worst.example, Several)
    if worst and single and shrink and pace.diagnosis and not pace.over:
        known = [one.finding.verdict == MISMATCH for one in seen]
        worst = _smaller(check, subject, strategy, count, seed, known, pace) or worst
    return Outcome(check, verdict, tuple(seen), worst, planned)


def _smaller(
    check: Check,
    subject: Subject,
    strategy: Any,
    count: int,
    seed: int,
    known: Sequence[bool],
    pace: Pace,
) -> Seen | None:
    """The mismatch on the smallest example, where one fails again."""
    tried = itertools.count(1)

    def fails(example: Any) -> bool:
        pace.on_progress(f"{check.name}: shrinking, try {next(tried)}")
        return _fails(check, subject, example)

    example = smallest(strategy, count, fails, seed=seed, known=known, over=lambda: pace.over)
    again = None if example is None else look(check, subject, example)
    return again if again and again.finding.verdict == MISMATCH else None


def _examples(check: Check, subject: Subject, count: int, seed: int) -> list[Any]:
    """The examples that subjects offering the same have in common, with what is known of them."""
    offers = subject.dtype, tuple(subject.decoders), tuple(subject.settings), subject.claims
    key = check.name, *offers, count, seed
    if key not in _COLLECTED:
        _COLLECTED[key] = collect(check.examples(subject), count, seed)
    return _COLLECTED[key]


_COLLECTED: dict[tuple[Any, ...], list[Any]] = {}


def look(check: Check, subject: Subject, example: Any) -> Seen:
    """What the subject makes of one example."""
    answer = ask(check, subject, example)
    return Seen(example, answer, compared(check, subject.dtype, example, answer))


def compared(check: Check, dtype: str, example: Any, answer: Any) -> Finding:
    """How an answer, or a Misbehaviour in its place, compares with the reference."""
    try:
        finding = check.judge(dtype, example, answer)
    except Misbehaviour as misbehaviour:
        finding = Finding(MISMATCH, math.inf, misbehaviour.says)
    if finding.verdict == MISMATCH and isinstance(answer, Misbehaviour) and answer.refuses:
        finding = Finding(REFUSED, 0.0, f"it was refused: {answer.says}")
    return finding


def ask(check: Check, subject: Subject, example: Any) -> Any:
    """The subject's answer; where it raises, a Misbehaviour is the answer."""
    try:
        return check.answer(subject, example)
    except Misbehaviour as misbehaviour:
        return misbehaviour
    except Exception as error:
        return Misbehaviour(RAISED, f"{type(error).__name__}: {error}")


def _verdict(check: Check, counts: Counter[str]) -> str:
    if check.refusals:
        return LAX if counts[MISMATCH] else STRICT
    if counts[MISMATCH]:
        return WRONG
    open_ones = counts[TIE] + counts[REFUSED]
    return UNDECIDED if open_ones > max(1, MOST_TIES * counts.total()) else RIGHT


def _fails(check: Check, subject: Subject, example: Any) -> bool:
    return look(check, subject, example).finding.verdict == MISMATCH


def _hung(seen: Seen) -> bool:
    return isinstance(seen.answer, Misbehaviour) and seen.answer.kind == HUNG


def _dead(seen: Seen) -> bool:
    return isinstance(seen.answer, Misbehaviour) and seen.answer.kind in (HUNG, DIED)
