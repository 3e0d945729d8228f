"""Which known bug a subject's numbers look like: the mutant that explains most of what is wrong.

Each piece of evidence costs an explanation log(1 + d²), d being how far the subject's answer is
from it, as a part of what rounding may do to it (`_nearness`), and log w where rounding may do w
times more to it than to the truth: the negative logarithm of a Cauchy density of that width. So an
explanation that fits is cheap, one that fits because nearly anything would is not, and a single
example on which a mutant is degenerate costs only so much, and is no veto. What a mutant cannot
answer at all costs it what it costs the truth.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from oracle.adapters import pytorch
from oracle.adapters.subject import Subject
from oracle.conformance._discrimination import telling
from oracle.conformance._evidence import UNSTEADY, Piece, by_family, family
from oracle.conformance._nearness import FARTHEST, Nearness, heard, nearness
from oracle.conformance._outcome import Outcome, ask
from oracle.mutants._mutant import Mutant

# An example that is right, and that a mutant would get wrong, costs it no more than this.
CONTRADICTION = 6.0
# An explanation that costs more than the cheapest by this is not looked into any further.
MARGIN = 40.0
REPRODUCES = 0.9  # a share of the evidence from which a subject behaves like the mutant
# One that explains less is still the nearest known bug where it leaves only so much of what the
# truth leaves unexplained, and the next leaves so many times more.
NEAREST, NEXT = 0.4, 1.5
SCREEN = 8  # of so many pieces that fail, and that do not, all mutants are asked
EQUAL = 3.0  # what costs so little more is told beside the likeliest
# Mutants that cost so little more than the likeliest are told from it by more evidence, so often.
CLOSE, RIVALS = 20.0, 8
STEADY = 3  # on so many examples a mutant must say the same twice


@dataclass(frozen=True)
class Suspect:
    """A known bug, and how well it explains what is wrong.

    distance: how far the subject is from the mutant where that explains it, at most 1; else how far
    it mostly is (the median); as a part of what rounding may do to the mutant. explained, failing:
    of how many examples that fail it accounts for. contradicted: how many that are right it would
    get wrong; passing: of how many. cost: as above, of all the evidence; leaves: as a part of what
    the truth costs. nearest: whether it is much nearer than all others.
    alike: the ids of other mutants that explain as much, and that nothing tells from this one.
    """

    mutant: Mutant
    distance: float
    explained: int = 1
    failing: int = 1
    contradicted: int = 0
    passing: int = 0
    cost: float = 0.0
    leaves: float = 0.0
    nearest: bool = False
    alike: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The part of the evidence that speaks about the mutant which it explains."""
        return self.explained / max(self.failing + self.contradicted, 1)

    @property
    def reproduces(self) -> bool:
        """Whether rounding accounts for what differs, in all the evidence but a few examples."""
        return self.share >= REPRODUCES and self.distance <= 1

    @property
    def named(self) -> bool:
        """Whether it is worth telling."""
        return self.reproduces or self.nearest


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong in one family of bugs, and the mutants that were tried, the likeliest first.

    failing: how many examples that fail were looked at.
    """

    family: str
    failing: int
    tried: int
    suspects: tuple[Suspect, ...] = ()

    @property
    def named(self) -> tuple[Suspect, ...]:
        """Those worth telling: the likeliest, if it fits, and those that fit about as well."""
        first = self.suspects[:1]
        if not first or not first[0].named:
            return ()
        return first + tuple(
            s for s in self.suspects[1:] if s.reproduces and s.cost <= first[0].cost + EQUAL
        )


def suspects(outcomes: Iterable[Outcome], dtype: str, mutants: Sequence[Mutant]) -> list[Suspect]:
    """The mutants that could account for what is wrong, the likeliest first, in all families."""
    return [s for found in diagnoses(outcomes, dtype, mutants) for s in found.suspects]


def diagnoses(
    outcomes: Iterable[Outcome],
    dtype: str,
    mutants: Sequence[Mutant],
    *,
    subject: Subject | None = None,
    more: Sequence[Piece] = (),
) -> list[Diagnosis]:
    """What each family in which something is wrong looks like.

    subject: asked further where several mutants explain all the same. more: pieces of evidence
    beside the outcomes, such as the example on which a model first goes wrong.
    """
    outcomes = list(outcomes)
    asked = {outcome.check.area for outcome in outcomes if outcome.seen}
    found = []
    for name, pieces in by_family(outcomes).items():
        pieces = [*pieces, *(p for p in more if family(p.check.area) == name)]
        tried = candidates(name, pieces, asked, dtype, mutants)
        before = diagnosis(name, pieces, dtype, tried)
        checks = [o for o in outcomes if family(o.check.area) == name and o.seen]
        found.append(settled(before, pieces, checks, dtype, subject))
    return found


def candidates(
    name: str,
    pieces: Sequence[Piece],
    asked: Iterable[str],
    dtype: str,
    mutants: Sequence[Mutant],
) -> list[Mutant]:
    """The mutants that could show in such evidence.

    A cache that goes wrong shows in cached steps, or in a call that remembers the one before. Where
    processors are not offered by themselves, they show in the rows that are generated; and a model
    in its perplexity.
    """
    areas = {name}
    if name in ("decoders", "draws"):
        areas = {"decoders"} if "processors" in asked else {"decoders", "processors"}
    elif name == "perplexity" and not {"model", "ops", "cache"} & set(asked):
        areas = {"perplexity", "model"}
    elif name == "model":
        cached = _drawn(pieces) or any(p.check.area == "cache" for p in pieces if p.fails)
        areas = {"model", "cache"} if cached else {"model"}
    return [m for m in mutants if m.area in areas and dtype in m.dtypes]


def diagnosis(
    name: str, pieces: Sequence[Piece], dtype: str, mutants: Sequence[Mutant]
) -> Diagnosis:
    """Rank the mutants by what all the evidence costs them.

    A mutant that does not say the same twice has no numbers to know it by: it is named for no
    subject but one that does not either.
    """
    drawn = _drawn(pieces)
    first = ranked(mutants, screen(pieces), dtype)
    full = ranked([suspect.mutant for suspect in first], pieces, dtype)
    # Asked of the few that are near, since most are told apart by a few examples.
    likely = [s for s in full if steady(s.mutant, pieces) != drawn]
    failing = sum(piece.fails for piece in pieces)
    return Diagnosis(name, failing, len(mutants), tuple(_with_nearest(likely)))


def _drawn(pieces: Sequence[Piece]) -> bool:
    """Whether all that is wrong is that the same is not given twice."""
    return all(piece.check.name == UNSTEADY for piece in pieces if piece.fails)


def ranked(mutants: Iterable[Mutant], pieces: Sequence[Piece], dtype: str) -> list[Suspect]:
    """The mutants that explain the evidence better than the truth does, the cheapest first.

    Those that cost more than the cheapest so far by MARGIN are given up on the way.
    """
    truth = sum(map(cost_of_truth, pieces))
    better: list[Suspect] = []
    most = truth
    for mutant in mutants:
        suspect = weighed(mutant, pieces, dtype, truth=truth, most=most)
        if suspect is not None:
            better.append(suspect)
            most = min(most, suspect.cost + MARGIN)
    return sorted(better, key=lambda suspect: suspect.cost)


def screen(pieces: Sequence[Piece]) -> list[Piece]:
    """A few pieces of all checks, by which most mutants are told from the likely ones."""
    passing = [piece for piece in pieces if not piece.fails]
    failing = [piece for piece in pieces if piece.fails]
    return [*passing[:: _step(passing)], *failing[:: _step(failing)]]


def _step(pieces: Sequence[Piece]) -> int:
    return max(1, len(pieces) // SCREEN)


def weighed(
    mutant: Mutant,
    pieces: Sequence[Piece],
    dtype: str,
    *,
    truth: float,
    most: float = math.inf,
) -> Suspect | None:
    """What the evidence costs the mutant; None as soon as it is more than `most`."""
    total, explained, failing, contradicted, passing = 0.0, 0, 0, 0, 0
    distances: list[float] = []
    for piece in pieces:
        near = nearness(mutant, piece.check, dtype, piece.seen.example, piece.seen.answer)
        total += cost(piece, near)
        if total > most:
            return None
        if piece.fails and not near.silent:
            failing += 1
            explained += near.distance <= 1
            distances.append(near.distance)
        elif not near.silent:
            passing += 1
            contradicted += near.distance > 1
    if not explained and total >= truth:
        return None
    fitting = [d for d in distances if d <= 1]
    distance = max(fitting) if len(fitting) * 2 > len(distances) else _median(distances)
    return Suspect(
        mutant,
        distance,
        explained,
        failing,
        contradicted,
        passing,
        total,
        total / truth if truth else 1.0,
    )


def cost(piece: Piece, near: Nearness) -> float:
    """What a piece of evidence costs an explanation that is so near."""
    if near.silent:
        return cost_of_truth(piece)
    price = _price(near.distance)
    if not piece.fails:
        # No number at all where one is right speaks louder than another number.
        most = CONTRADICTION if math.isfinite(near.distance) else 2 * CONTRADICTION
        return min(price, most) if near.distance > 1 else 0.0
    return min(price + math.log(near.width), _price(FARTHEST))


def cost_of_truth(piece: Piece) -> float:
    """What it costs to take the subject for right."""
    return _price(piece.seen.finding.error) if piece.fails else 0.0


def _price(distance: float) -> float:
    return math.log1p(min(distance, FARTHEST) ** 2) if distance > 1 else 0.0


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else math.inf


def _with_nearest(ranked: Sequence[Suspect]) -> list[Suspect]:
    """The same, the first marked where it is far nearer than the next."""
    if not ranked or ranked[0].leaves > NEAREST:
        return list(ranked)
    first, *others = ranked
    far = not others or others[0].cost > NEXT * first.cost
    return [replace(first, nearest=far), *others]


def settled(
    before: Diagnosis,
    pieces: Sequence[Piece],
    outcomes: Sequence[Outcome],
    dtype: str,
    subject: Subject | None,
) -> Diagnosis:
    """The same, with more evidence where several mutants explain about as much.

    Examples are looked for on which the likeliest and each of the others differ: among those that
    were asked, then, of a subject that is at hand, among new ones. Those of which none tells them
    apart are `alike`.
    """
    if not before.suspects or _drawn(pieces):
        return before
    extra: list[Piece] = []
    alike: set[str] = set()
    ranking = list(before.suspects)
    for _ in range(RIVALS):
        first = ranking[0]
        rival = next(
            (s for s in ranking[1:] if _close(first, s) and s.mutant.id not in alike), None
        )
        if rival is None:
            break
        told = telling(first.mutant, rival.mutant, outcomes, dtype, subject)
        if not told:
            alike.add(rival.mutant.id)
            continue
        extra += told
        close = [s.mutant for s in ranking if _close(first, s)]
        ranking = ranked(close, [*pieces, *extra], dtype) + [
            s for s in ranking if s.mutant not in close
        ]
    first, *others = _with_nearest(ranking)
    same = tuple(s.mutant.id for s in others if s.mutant.id in alike and _close(first, s))
    return replace(before, suspects=(replace(first, alike=same), *others))


def _close(first: Suspect, other: Suspect) -> bool:
    return other.cost <= first.cost + CLOSE


def steady(mutant: Mutant, pieces: Sequence[Piece]) -> bool:
    """Whether the oracle with the bug says the same twice: else it has no numbers."""
    return all(_says_the_same_twice(mutant, piece) for piece in pieces[-STEADY:])


def _says_the_same_twice(mutant: Mutant, piece: Piece) -> bool:
    check, example = piece.check, piece.seen.example
    if check.area == "draws":
        return True
    once = heard(mutant, check, example, "float64")
    with mutant.applied():
        again = ask(check, pytorch.subject(dtype="float64"), example)
    if isinstance(once, list) and check.name == UNSTEADY:  # before and after another call
        once, _, again = once
    if isinstance(once, np.ndarray) and isinstance(again, np.ndarray):
        return np.array_equal(once, again, equal_nan=once.dtype.kind == "f")
    return True
