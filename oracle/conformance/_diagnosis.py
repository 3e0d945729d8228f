"""Which known bug a subject's numbers look like: the mutants that reproduce them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from oracle.adapters import pytorch
from oracle.adapters.guard import Misbehaviour
from oracle.conformance._check import MATCH, MISMATCH, Check
from oracle.conformance._outcome import Outcome, Seen, ask
from oracle.mutants._mutant import Mutant

# Of each check: so many examples that fail, and so many that do not, must be reproduced.
FAILING, PASSING = 12, 4
UNSTEADY = "model/repeatable"  # the check that finds what is drawn at random
REFUSALS = "model/refusals"
STEADY = 3  # on so many examples a mutant must say the same twice
HOPELESS = 10.0  # beyond this distance a mutant is not tried further


@dataclass(frozen=True)
class Suspect:
    """A known bug, and how far from it the subject is.

    distance: the largest difference of the subject from the mutant over all the evidence, as a part
    of what rounding may do to the mutant; at most 1 where the mutant reproduces the subject.
    """

    mutant: Mutant
    distance: float

    @property
    def reproduces(self) -> bool:
        """Whether rounding accounts for the difference."""
        return self.distance <= 1


def suspects(outcomes: Iterable[Outcome], dtype: str, mutants: Sequence[Mutant]) -> list[Suspect]:
    """The mutants that could account for what is wrong, the likeliest first.

    A subject that does not give the same twice has no numbers to reproduce, so then the check that
    found it is the only evidence.
    """
    wrong = [o for o in outcomes if o.worst and not isinstance(o.worst.answer, Misbehaviour)]
    unsteady = [outcome for outcome in wrong if outcome.check.name == UNSTEADY]
    evidence = _by_family(unsteady or wrong)
    for seen in evidence.values():
        seen.sort(key=lambda pair: len(repr(pair[1].example)))  # what is small is quick
    # A cache that goes wrong shows in cached steps, or in a call that remembers the one before.
    cached = unsteady or any(outcome.check.area == "cache" for outcome in wrong)
    found = [
        Suspect(mutant, _distance(mutant, evidence[family(mutant.area)], dtype))
        for mutant in mutants
        if family(mutant.area) in evidence and dtype in mutant.dtypes
        if mutant.area != "cache" or cached
    ]
    return sorted(found, key=lambda suspect: suspect.distance)


def family(area: str) -> str:
    """The areas that share their bugs go by one name: ops and the cache belong to the model."""
    return "model" if area in ("ops", "cache") else area


def _by_family(wrong: Sequence[Outcome]) -> dict[str, list[tuple[Check, Seen]]]:
    """What speaks about each family of bugs.

    Where the model is wrong, so is what stands on it: the cached model is no evidence of its own.
    """
    without_cache = [outcome for outcome in wrong if outcome.check.area in ("model", "ops")]
    found: dict[str, list[tuple[Check, Seen]]] = {}
    for outcome in wrong:
        area = outcome.check.area
        if without_cache and area in ("cache", "perplexity"):
            continue
        found.setdefault(family(area), []).extend(
            (outcome.check, seen) for seen in _evidence(outcome)
        )
    return found


def _evidence(outcome: Outcome) -> list[Seen]:
    failing = [seen for seen in outcome.seen if seen.finding.verdict == MISMATCH]
    passing = [seen for seen in outcome.seen if seen.finding.verdict == MATCH]
    return [outcome.worst, *failing[:FAILING], *passing[-PASSING:]]


def _distance(mutant: Mutant, evidence: Sequence[tuple[Check, Seen]], dtype: str) -> float:
    """How far the subject is from the mutant: in float64, or in dtype where that is nearer.

    A bug that overflows does so in the arithmetic that is really used, which may be wider than what
    is claimed. Of a subject that does not say the same twice, only that is asked: whether the
    mutant does.
    """
    with mutant.applied():
        if evidence[0][0].name == UNSTEADY:
            return math.inf if _steady(evidence) else 0.0
        wide = _apart(evidence, dtype, "float64")
        if not math.isfinite(wide):  # one of the two has overflowed, and the other not
            wide = min(wide, _apart(evidence, dtype, dtype))
        # Asked of the few that are near, since most are told apart by a single example.
        return wide if wide > HOPELESS or _steady(evidence) else math.inf


def _steady(evidence: Sequence[tuple[Check, Seen]]) -> bool:
    """Whether the oracle, as it is now, says the same twice: else it has no numbers."""
    return all(_says_the_same_twice(check, seen) for check, seen in evidence[:STEADY])


def _says_the_same_twice(check: Check, seen: Seen) -> bool:
    """Where it should have refused, that it answers at all is what counts."""
    if check.name == REFUSALS:
        return True
    reference = pytorch.subject(dtype="float64")
    once, again = (ask(check, reference, seen.example) for _ in range(2))
    if isinstance(once, list):  # of the check that asks twice itself: before and after another
        once, _, again = once
    if isinstance(once, np.ndarray) and isinstance(again, np.ndarray):
        return np.array_equal(once, again, equal_nan=once.dtype.kind == "f")
    return True


def _apart(evidence: Sequence[tuple[Check, Seen]], dtype: str, kind: str) -> float:
    farthest, reference = 0.0, pytorch.subject(dtype=kind)
    for check, seen in evidence:
        theirs = ask(check, reference, seen.example)
        try:
            apart = check.distance(dtype, seen.example, seen.answer, theirs)
        except Exception:  # the bug makes the reference fail where the subject does not
            apart = math.inf
        farthest = max(farthest, apart)
        if farthest > HOPELESS:
            break
    return farthest
