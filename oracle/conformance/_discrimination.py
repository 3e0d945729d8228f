"""Examples that tell two bugs apart: the mutants differ there, so the subject's answer decides.

They are looked for among what was asked, and then, of a subject that is at hand, among new examples
of the same checks: a bug that a small example cannot tell from another gets a larger one.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from oracle.adapters.subject import Subject
from oracle.conformance._check import TIE
from oracle.conformance._evidence import LARGE, Piece, size
from oracle.conformance._explore import collect
from oracle.conformance._nearness import heard, nearness
from oracle.conformance._outcome import Outcome, Seen, look
from oracle.mutants._mutant import Mutant

TELLING = 3  # examples that tell two mutants apart are enough
FRESH = 120  # of each check so many new examples are looked at
FRESH_SEED = 1
# Two mutants are told apart where each is so far from the other.
APART = 3.0


def telling(
    one: Mutant,
    other: Mutant,
    outcomes: Sequence[Outcome],
    dtype: str,
    subject: Subject | None = None,
) -> list[Piece]:
    """Up to TELLING pieces of evidence on which the two mutants differ."""
    asked = [o for o in outcomes if not o.check.refusals and o.check.area != "draws"]
    seen = _chosen(one, other, _seen(asked), dtype)
    pieces = list(itertools.islice(seen, TELLING))
    if pieces or subject is None:
        return pieces
    fresh = _chosen(one, other, _fresh(asked, subject), dtype)
    for piece in fresh:
        pieces.append(Piece(piece.check, look(piece.check, subject, piece.seen.example)))
        if len(pieces) >= TELLING:
            break
    return [piece for piece in pieces if piece.seen.finding.verdict != TIE]


def _seen(outcomes: Sequence[Outcome]) -> Iterator[Piece]:
    for outcome in outcomes:
        for seen in outcome.seen:
            if seen.finding.verdict != TIE:
                yield Piece(outcome.check, seen)


def _fresh(outcomes: Sequence[Outcome], subject: Subject) -> Iterator[Piece]:
    """New examples, those of checks in which something is wrong first; not asked yet."""
    order = sorted(outcomes, key=lambda outcome: outcome.worst is None)
    for outcome in order:
        strategy = outcome.check.examples(subject)
        if strategy is None:
            continue
        blank = outcome.seen[0].finding
        for example in collect(strategy, FRESH, FRESH_SEED):
            yield Piece(outcome.check, Seen(example, None, blank))


def _chosen(one: Mutant, other: Mutant, pieces: Iterator[Piece], dtype: str) -> Iterator[Piece]:
    return (
        piece
        for piece in pieces
        if size(piece.seen.example) <= LARGE and _differ(one, other, piece, dtype)
    )


def _differ(one: Mutant, other: Mutant, piece: Piece, dtype: str) -> bool:
    """Whether each is far from what the other answers."""
    check, example = piece.check, piece.seen.example
    answers = [heard(mutant, check, example, "float64") for mutant in (one, other)]
    if _equal(*answers):
        return False
    check.judge(dtype, example, answers[0])  # what rounding may do to the truth is worked out here
    return all(
        nearness(mutant, check, dtype, example, answer).distance > APART
        for mutant, answer in ((one, answers[1]), (other, answers[0]))
    )


def _equal(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return type(one) is type(other) and repr(one) == repr(other)
