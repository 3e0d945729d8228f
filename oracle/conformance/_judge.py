"""Judging a subject: all checks, then where it goes wrong and which bug that looks like."""

import math
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
from oracle.conformance._exactness import exactness
from oracle.conformance._explore import fresh_seed
from oracle.conformance._localise import Divergence, depths, localise_all
from oracle.conformance._model_examples import ModelExample, not_logits
from oracle.conformance._outcome import (
    LAX,
    NOT_JUDGED,
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
from oracle.conformance._pace import UNHURRIED, Pace
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
    checks that may be wrong, with reasons. diagnosed: whether place and name were looked for to the
    end. about: versions, device and time.
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
    diagnosed: bool = True

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
        return WRONG if self.strict and (lax or self.exactness[1]) else self.numbers

    @property
    def exactness(self) -> tuple[str, bool]:
        """What is to be told of arithmetic more exact than is claimed; and whether it is that."""
        return exactness(self.subject.dtype, self.outcomes)

    @property
    def numbers(self) -> str:
        """WRONG if any check is; else UNDECIDED if any is; else RIGHT; NOT_OFFERED if none ran.

        Known failures that fail are right as they are. Where time was up it is UNDECIDED, or
        NOT_JUDGED if it was up for all.
        """
        known = self.known_failures
        verdicts = {
            RIGHT if o.check.name in known and o.verdict in (WRONG, UNDECIDED) else o.verdict
            for o in self.outcomes
        }
        if NOT_JUDGED in verdicts and WRONG not in verdicts:
            return UNDECIDED if verdicts & {RIGHT, UNDECIDED} else NOT_JUDGED
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
    time_limit: float = math.inf,
    diagnosis: bool = True,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    on_progress: Callable[[str], None] = lambda text: None,
) -> Judgement:
    """Ask all checks, `count` examples each (by default, each check's own number).

    subject: guarded. seed: says which examples, the same for the same seed and version; by default
    one that nobody could know, so that no table of answers prepares for it. strict: whether to
    answer where there is no answer makes it WRONG. known_failures: reasons by the names of checks
    that do not. time_limit: seconds after which nothing further is asked; what was not reached is
    NOT_JUDGED. diagnosis: whether what fails is made small, and its place and name are looked for.
    on_outcome: called with each outcome as it comes. on_progress: called with a few words on what
    happens now.
    """
    seed = fresh_seed() if seed is None else seed
    began, outcomes = time.monotonic(), []
    pace = Pace(began + time_limit, diagnosis, on_progress)
    for check in checks:
        outcomes.append(run(check, subject, count=count, seed=seed, pace=pace))
        on_outcome(outcomes[-1])
    judgement = judgement_of(subject, outcomes, pace=pace)
    took = {"seconds": round(time.monotonic() - began, 1)}
    return replace(
        judgement,
        seed=seed,
        strict=strict,
        known_failures=known_failures or {},
        about=judgement.about | took,
    )


def judgement_of(
    subject: Subject, outcomes: Sequence[Outcome], *, pace: Pace = UNHURRIED
) -> Judgement:
    """What the outcomes of all checks say together: where it goes wrong, and which bugs fit.

    Of a step for which the pace leaves no time, nothing is said.
    """
    wrong = [outcome for outcome in outcomes if outcome.check.name in LOGITS and outcome.worst]
    seen = [o.worst for o in wrong if o.worst] + [s for o in wrong for s in o.seen]
    failing = [s.example for s in seen if s.finding.verdict == MISMATCH and _answered(s)]
    numeric = [outcome for outcome in outcomes if not outcome.check.refusals]
    deepest = max(failing, key=_layers, default=None)
    judgement = Judgement(subject, tuple(outcomes), about=about())
    dtype = subject.dtype

    def left(step: str) -> bool:
        pace.on_progress(step)
        return pace.diagnosis and not pace.over

    if failing and left("isolating the part that is wrong"):
        judgement = replace(judgement, divergences=localise_all(subject, failing, dtype=dtype))
    if deepest and left("measuring the error by depth"):
        judgement = replace(judgement, by_depth=tuple(depths(subject, deepest, dtype=dtype)))
    if left("naming the bug"):
        places = _places(subject, judgement.divergences)
        named = tuple(diagnoses(numeric, dtype, MUTANTS, subject=subject, more=places))
        suspects = tuple(suspect for diagnosis in named for suspect in diagnosis.suspects)
        judgement = replace(judgement, diagnoses=named, suspects=suspects)
    return replace(judgement, diagnosed=left(""))


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
