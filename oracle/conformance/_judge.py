"""Judging a subject: all checks, then where it goes wrong and which bug that looks like."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from oracle.adapters.subject import Subject
from oracle.conformance._catalogue import checks_at
from oracle.conformance._check import MISMATCH, Check
from oracle.conformance._checks import model
from oracle.conformance._diagnosis import Diagnosis, Suspect, diagnoses
from oracle.conformance._evidence import Piece
from oracle.conformance._explore import fresh_seed
from oracle.conformance._localise import Divergence, depths, localise_all
from oracle.conformance._model_examples import ModelExample, not_logits
from oracle.conformance._outcome import (
    LAX,
    NOT_OFFERED,
    RIGHT,
    STRICT,
    UNDECIDED,
    WRONG,
    Outcome,
    Seen,
    look,
    run,
)
from oracle.conformance._strictness import Strictness, strictness
from oracle.mutants._catalogue import MUTANTS

# Checks whose examples are whole models asked through `logits`.
LOGITS = tuple(check.name for check in model.CHECKS)


@dataclass(frozen=True)
class Judgement:
    """What is known of a subject after all checks.

    divergences: where the model goes wrong, the first place first, where its logits are; further
    ones where more than one part is wrong. by_depth: for that model with 0, 1, 2 … layers, the
    largest error and what rounding allows. suspects: the known bugs, the likeliest first;
    diagnoses: the same for each family of bugs in which something is wrong. seed: of
    the examples. strict: whether to answer where there is no answer is wrong. known_failures:
    checks that may be wrong, with reasons. about: versions, device and time.
    """

    subject: Subject
    outcomes: tuple[Outcome, ...]
    divergences: tuple[Divergence, ...] = ()
    by_depth: tuple[tuple[float, float], ...] = ()
    suspects: tuple[Suspect, ...] = ()
    seed: int | None = None
    about: dict[str, Any] = field(default_factory=dict)
    strict: bool = False
    known_failures: Mapping[str, str] = field(default_factory=dict)
    diagnoses: tuple[Diagnosis, ...] = ()

    @property
    def divergence(self) -> Divergence | None:
        """The first of the divergences."""
        return next(iter(self.divergences), None)

    @property
    def refusals(self) -> Strictness | None:
        """What is done where there is no answer: a verdict apart; None where it was not asked."""
        return strictness(self.outcomes)

    @property
    def verdict(self) -> str:
        """That of the numbers; WRONG too where refusals are lax, if that was asked for."""
        unknown = (o for o in self.outcomes if o.check.name not in self.known_failures)
        refusals = strictness(unknown)
        lax = refusals is not None and refusals.verdict == LAX
        return WRONG if self.strict and lax else self.numbers

    @property
    def numbers(self) -> str:
        """WRONG if any check is; else UNDECIDED if any is; else RIGHT; NOT_OFFERED if none ran.

        Known failures that fail are right as they are.
        """
        known = self.known_failures
        verdicts = {
            RIGHT if o.check.name in known and o.verdict in (WRONG, UNDECIDED) else o.verdict
            for o in self.outcomes
        }
        return next((v for v in (WRONG, UNDECIDED, RIGHT) if v in verdicts), NOT_OFFERED)

    @property
    def failing_as_known(self) -> tuple[str, ...]:
        """The known failures that did fail."""
        failing = (o.check.name for o in self.outcomes if o.verdict in (WRONG, UNDECIDED, LAX))
        return tuple(name for name in failing if name in self.known_failures)

    @property
    def outdated(self) -> tuple[str, ...]:
        """The known failures that are none: the check is right."""
        right = [o.check.name for o in self.outcomes if o.verdict in (RIGHT, STRICT)]
        return tuple(name for name in self.known_failures if name in right)


def judge(
    subject: Subject,
    checks: Sequence[Check] = checks_at(),
    *,
    count: int | None = None,
    seed: int | None = None,
    strict: bool = False,
    known_failures: Mapping[str, str] | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Judgement:
    """Ask all checks, `count` examples each (by default, each check's own number).

    subject: guarded. seed: says which examples, the same for the same seed and version; by default
    one that nobody could know, so that no table of answers prepares for it. strict: whether to
    answer where there is no answer makes it WRONG. known_failures: reasons by the names of checks
    that do not. on_outcome: called with each outcome as it comes.
    """
    seed = fresh_seed() if seed is None else seed
    began, outcomes = time.monotonic(), []
    for check in checks:
        outcomes.append(run(check, subject, count=count, seed=seed))
        on_outcome(outcomes[-1])
    judgement = judgement_of(subject, outcomes)
    took = {"seconds": round(time.monotonic() - began, 1)}
    return replace(
        judgement,
        seed=seed,
        strict=strict,
        known_failures=known_failures or {},
        about=judgement.about | took,
    )


def judgement_of(subject: Subject, outcomes: Sequence[Outcome]) -> Judgement:
    """What the outcomes of all checks say together: where it goes wrong, and which bugs fit."""
    wrong = [outcome for outcome in outcomes if outcome.check.name in LOGITS and outcome.worst]
    seen = [o.worst for o in wrong] + [s for o in wrong for s in o.seen]
    failing = [s.example for s in seen if s.finding.verdict == MISMATCH and _answered(s)]
    numeric = [outcome for outcome in outcomes if not outcome.check.refusals]
    deepest = max(failing, key=_layers, default=None)
    divergences = localise_all(subject, failing, dtype=subject.dtype) if failing else ()
    places = _places(subject, divergences)
    named = diagnoses(numeric, subject.dtype, MUTANTS, subject=subject, more=places)
    return Judgement(
        subject,
        tuple(outcomes),
        divergences,
        tuple(depths(subject, deepest, dtype=subject.dtype)) if deepest else (),
        tuple(suspect for diagnosis in named for suspect in diagnosis.suspects),
        about=about(),
        diagnoses=tuple(named),
    )


def _places(subject: Subject, divergences: Sequence[Divergence]) -> list[Piece]:
    """The examples on which the model first goes wrong: where one part alone is awake."""
    check = model.CHECKS[0]
    return [Piece(check, look(check, subject, place.example)) for place in divergences]


def _answered(seen: Seen) -> bool:
    """Whether it gave logits at all: where there are none, nothing says where they go wrong."""
    return not not_logits(seen.example, seen.answer)


def _layers(example: ModelExample) -> int:
    return int(example.config["n_layer"])


def about() -> dict[str, Any]:
    """The machine, and the versions of what the numbers may depend on."""
    names = ("npgpt", "torch", "numpy", "scipy", "hypothesis", "transformers")
    versions = {name: _version(name) for name in names}
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: found for name, found in versions.items() if found},
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
