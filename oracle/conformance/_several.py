"""Several cases as one example: a border check asks every size of its list, few times over.

Were sizes drawn, a few examples would miss some of them. So the only thing that is drawn is a seed,
and an example holds a case at each size; the first that goes wrong is the one that is reported.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from hypothesis import strategies as st

from oracle.adapters.guard import RAISED, Misbehaviour
from oracle.adapters.subject import Subject
from oracle.conformance._check import MATCH, MISMATCH, TIE, Check, Finding
from oracle.strategies._arrays import MAX_SEED

Answer: TypeAlias = Callable[[Subject, Any], Any]
Judge: TypeAlias = Callable[[str, Any, Any], Finding]
Distance: TypeAlias = Callable[[str, Any, Any, Any], float]


@dataclass(frozen=True, eq=False)
class Several:
    """cases: what a check of single examples takes, each with the label of its size."""

    cases: tuple[tuple[str, Any], ...]
    seed: int

    def __repr__(self) -> str:
        return f"Several(seed={self.seed}: {', '.join(label for label, _ in self.cases)})"


def several(
    build: Callable[[int], Sequence[tuple[str, Any]]],
) -> "st.SearchStrategy[Several]":
    """The cases that build(seed) gives, for any seed; shrinks to seed 0 at once."""
    return st.integers(0, MAX_SEED).map(lambda seed: Several(tuple(build(seed)), seed))


def border_check(
    name: str,
    asks: str,
    needs: str,
    build: Callable[[Subject], Callable[[int], Sequence[tuple[str, Any]]] | None],
    single: tuple[Answer, Judge, Distance],
    *,
    count: int = 2,
    size: str = "borders",
) -> Check:
    """The check that asks all cases of build(subject)(seed), `count` seeds.

    single: answer, judge and distance of one case. build gives None where nothing is offered.
    """
    answer, judge, distance = single

    def examples(subject: Subject) -> "st.SearchStrategy[Several] | None":
        cases = build(subject)
        return None if cases is None else several(cases)

    return Check(
        name,
        asks,
        needs,
        examples,
        lambda subject, example: answers(answer, subject, example),
        lambda dtype, example, given: judged(judge, dtype, example, given),
        lambda dtype, example, one, other: apart(distance, dtype, example, one, other),
        count=count,
        size=size,
    )


def answers(answer: Answer, subject: Subject, example: Several) -> tuple[Any, ...]:
    """What the subject makes of each case; what it refuses, or raises in one, is its answer there.

    Where it hangs or dies there is no answer at all.
    """
    given: list[Any] = []
    for _, case in example.cases:
        try:
            given.append(answer(subject, case))
        except Misbehaviour as misbehaviour:
            if misbehaviour.kind != RAISED:
                raise
            given.append(misbehaviour)
        except Exception as error:
            given.append(Misbehaviour(RAISED, f"{type(error).__name__}: {error}"))
    return tuple(given)


def judged(judge: Judge, dtype: str, example: Several, given: Any) -> Finding:
    """The first case that is wrong; or a tie, where there is one; or the largest error."""
    if isinstance(given, Misbehaviour):
        return Finding(MISMATCH, math.inf, given.says)
    if not isinstance(given, tuple) or len(given) != len(example.cases):
        return Finding(MISMATCH, math.inf, f"it gave no answer to each of {len(example.cases)}")
    worst = Finding(MATCH)
    for (label, case), one in zip(example.cases, given, strict=True):
        finding = _judged_alone(judge, dtype, case, one)
        if finding.verdict == MISMATCH:
            return Finding(MISMATCH, finding.error, f"{label}: {finding.says}")
        if finding.verdict == TIE:
            worst = Finding(TIE, finding.error, f"{label}: {finding.says}")
        elif worst.verdict == MATCH and finding.error > worst.error:
            worst = finding
    return worst


def _judged_alone(judge: Judge, dtype: str, case: Any, given: Any) -> Finding:
    if isinstance(given, Misbehaviour):
        if given.refuses:
            return Finding(TIE, 0.0, f"it was refused: {given.says}")
        return Finding(MISMATCH, math.inf, given.says)
    return judge(dtype, case, given)


def apart(distance: Distance, dtype: str, example: Several, one: Any, other: Any) -> float:
    """The largest distance of any case."""
    if not (isinstance(one, tuple) and isinstance(other, tuple)):
        both = isinstance(one, Misbehaviour) and isinstance(other, Misbehaviour)
        return 0.0 if both and one.kind == other.kind else math.inf
    return max(
        (
            _apart_alone(distance, dtype, case, first, second)
            for (_, case), first, second in zip(example.cases, one, other, strict=True)
        ),
        default=0.0,
    )


def _apart_alone(distance: Distance, dtype: str, case: Any, one: Any, other: Any) -> float:
    raised = [isinstance(answer, Misbehaviour) for answer in (one, other)]
    if any(raised):
        return 0.0 if all(raised) and one.kind == other.kind else math.inf
    return distance(dtype, case, one, other)


def wrong_case(example: Any, given: Any, says: str) -> tuple[Any, Any]:
    """The case that `says` speaks of, and what was given for it; of a single example, those.

    >>> wrong_case(Several((("width 1", "a"), ("width 17", "b")), 0), (1, 2), "width 17: it is off")
    ('b', 2)
    """
    if not isinstance(example, Several):
        return example, given
    answered = given if isinstance(given, tuple) else [given] * len(example.cases)
    for (label, case), one in zip(example.cases, answered, strict=True):
        if says.startswith(f"{label}: "):
            return case, one
    return example.cases[0][1], answered[0]  # it hung or died, in whichever of them


def first_accepted(
    make: Callable[[int], Any], accepts: Callable[[Any], bool], seed: int, tries: int = 40
) -> list[Any]:
    """make(seed), make(seed + 1), … until one is accepted; none where none of `tries` is.

    >>> first_accepted(lambda n: n, lambda n: n % 10 == 0, 42)
    [50]
    """
    for attempt in range(tries):
        made = make(seed + attempt)
        if accepts(made):
            return [made]
    return []
