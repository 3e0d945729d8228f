"""The evidence by which a bug is named: examples that a subject gets wrong, and some it gets right.

Each family of bugs has its own. A refusal is no evidence, nor is what rounding may decide.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.adapters.guard import Misbehaviour
from oracle.conformance._check import MATCH, MISMATCH, Check
from oracle.conformance._checks.cache import CacheExample
from oracle.conformance._model_examples import ModelExample
from oracle.conformance._outcome import Outcome, Seen

# Of each check: so many examples that fail, and so many that do not.
FAILING, PASSING = 12, 8
# Of a check in which all is right.
OF_RIGHT = 3
# An example that takes more than this, in numbers read, is asked of mutants only where none is
# smaller; then so many of those that fail.
LARGE, FAILING_LARGE = 300_000, 2
UNSTEADY = "model/repeatable"  # the check that finds what is drawn at random
MODEL = ("model", "ops", "cache", "perplexity")


@dataclass(frozen=True)
class Piece:
    """An example, the subject's answer and how it compares with the truth, in one check."""

    check: Check
    seen: Seen

    @property
    def fails(self) -> bool:
        """Whether the subject is wrong here."""
        return self.seen.finding.verdict == MISMATCH


def family(area: str) -> str:
    """The areas that share their bugs go by one name: ops and the cache belong to the model."""
    return "model" if area in ("ops", "cache") else area


def by_family(outcomes: Iterable[Outcome]) -> dict[str, list[Piece]]:
    """What speaks about each family in which something is wrong: the quickest to ask first.

    Where the model is wrong, so is what stands on it: the cached model, and perplexity, are no
    evidence of their own. A subject that does not give the same twice has no numbers: there the
    check that found it is the only evidence.
    """
    asked = [outcome for outcome in outcomes if outcome.seen and not outcome.check.refusals]
    wrong = [outcome for outcome in asked if _worth(outcome)]
    unsteady = [outcome for outcome in wrong if outcome.check.name == UNSTEADY]
    if any(outcome.check.area == "decoders" for outcome in wrong):
        wrong = [o for o in wrong if o.check.area != "draws"]  # it takes long, and says less
    if unsteady:
        wrong = [o for o in wrong if o.check.area not in MODEL] + unsteady
    elif any(outcome.check.area in ("model", "ops") for outcome in wrong):
        wrong = [o for o in wrong if o.check.area not in ("cache", "perplexity")]
    pieces: dict[str, list[Piece]] = {}
    for outcome in wrong:
        pieces.setdefault(family(outcome.check.area), []).extend(_of_wrong(outcome))
    if unsteady:  # that two draws agree once is chance, and speaks against no bug
        pieces["model"] = [piece for piece in pieces["model"] if piece.fails]
    areas = {outcome.check.area for outcome in wrong}
    for outcome in asked:
        if outcome.worst is None and outcome.check.area in areas and not unsteady:
            pieces[family(outcome.check.area)].extend(_passing(outcome, OF_RIGHT))
    return {name: _small(chosen) for name, chosen in pieces.items()}


def size(example: Any) -> int:
    """About how many numbers have to be read to answer it: a measure of time.

    >>> size("a text") < LARGE
    True
    """
    if isinstance(example, CacheExample):
        return size(example.whole) * len(example.chunks)
    weights = getattr(example, "weights", None)
    if isinstance(example, ModelExample):
        return sum(array.size for array in example.weights.values()) * example.batch.tokens.size
    if weights is not None and hasattr(example, "tokens"):
        return sum(array.size for array in weights.values()) * len(example.tokens)
    if isinstance(example, tuple) and example and isinstance(example[0], ModelExample):
        return sum(size(one) for one in example)
    arrays = getattr(example, "arrays", None)
    if isinstance(arrays, dict):
        return sum(array.size for array in arrays.values())
    logits = getattr(example, "logits", None)
    return int(logits.size) if isinstance(logits, np.ndarray) else len(repr(example)[:LARGE])


def _worth(outcome: Outcome) -> bool:
    """Whether something is wrong that is an answer, or a crash of one check only."""
    return outcome.worst is not None and not (
        isinstance(outcome.worst.answer, Misbehaviour)
        and all(isinstance(s.answer, Misbehaviour) for s in _failing(outcome))
        and outcome.check.area in ("model", "ops", "cache", "perplexity")
    )


def _failing(outcome: Outcome) -> list[Seen]:
    return [seen for seen in outcome.seen if seen.finding.verdict == MISMATCH]


def _of_wrong(outcome: Outcome) -> list[Piece]:
    worst = [outcome.worst] if outcome.worst else []
    others = [seen for seen in _failing(outcome) if seen is not outcome.worst]
    failing = sorted(others, key=lambda seen: size(seen.example) > LARGE)
    pieces = [Piece(outcome.check, seen) for seen in [*worst, *failing[:FAILING]]]
    return pieces + _passing(outcome, PASSING)


def _passing(outcome: Outcome, most: int) -> list[Piece]:
    """The last of those that are right, since the first drawn are often the least."""
    passing = [seen for seen in outcome.seen if seen.finding.verdict == MATCH]
    small = [seen for seen in passing if size(seen.example) <= LARGE]
    return [Piece(outcome.check, seen) for seen in small[-most:]]


def _small(pieces: Sequence[Piece]) -> list[Piece]:
    """Large examples only where all that fail are large, and then few of them."""
    failing = sorted((p for p in pieces if p.fails), key=lambda p: size(p.seen.example))
    small = [piece for piece in failing if size(piece.seen.example) <= LARGE]
    passing = sorted((p for p in pieces if not p.fails), key=lambda p: size(p.seen.example))
    return passing + (small or failing[:FAILING_LARGE])
