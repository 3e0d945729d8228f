"""Checks of the logits processors over GPT-2's vocabulary, and over rows as long as its context.

A check for each setting, with a case for each size (`oracle.strategies._border_scores`): rows of 65
to 1000 tokens, vocabularies of 200, 2000 and 50257, more candidates than 64 or 1024, more biases
than 1024, ids from 32768 on, and values at the ends of their range: top_p of 1e-8 and of 1, a
temperature of 1e-4. A last check puts each bias and each penalty together with a temperature, which
acts after them. A case in which rounding may decide which tokens are left is made anew.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from oracle.adapters.subject import Subject
from oracle.conformance._boundaries import working
from oracle.conformance._check import Check
from oracle.conformance._checks.processors import answer, distance, judge, known, settled
from oracle.conformance._several import border_check, first_accepted
from oracle.strategies._border_scores import BORDER_CASES
from oracle.strategies._scores import PROCESSED, ScoreProblem, build_logits

Cases = list[tuple[str, ScoreProblem]]
# What a temperature shows to have acted too late, each with a value; over six tokens. What only
# multiplies scores may stand on either side of it.
BEFORE_TEMPERATURE: dict[str, dict[str, Any]] = {
    "sequence_bias": {"sequence_bias": {(1,): 2.0, (0, 2): -1.0}},
    "logit_bias": {"logit_bias": {1: 2.0, 3: -1.0}},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "presence_penalty": {"presence_penalty": 1.0},
}
HEATS = (0.25, 2.0)
TOKENS = np.array([[3, 1, 1, 0], [5, 0, 1, 0]])


def _sized(name: str, dtype: str) -> Callable[[int], Cases]:
    def build(seed: int) -> Cases:
        return [
            (case.label, problem)
            for case in BORDER_CASES[name]
            for problem in first_accepted(case.problem, lambda p: settled(dtype, p), seed)
        ]

    return build


def _check(name: str) -> Check:
    def build(subject: Subject) -> Callable[[int], Cases] | None:
        return _sized(name, working(subject.dtype)) if name in known(subject) else None

    return border_check(
        f"processors/{name}-wide",
        f"Does {name} leave the right tokens of a real vocabulary, after a long row?",
        "process",
        build,
        (answer, judge, distance),
    )


def _heated(names: Sequence[str]) -> Callable[[int], Cases]:
    def build(seed: int) -> Cases:
        logits = build_logits(["ordinary", "flat"], seed, 6)
        return [
            (
                f"{name} at temperature {heat}",
                ScoreProblem(BEFORE_TEMPERATURE[name] | {"temperature": heat}, TOKENS, 1, logits),
            )
            for name in names
            for heat in HEATS
        ]

    return build


def _before_temperature(subject: Subject) -> Callable[[int], Cases] | None:
    has = known(subject)
    names = [name for name in BEFORE_TEMPERATURE if name in has]
    return _heated(names) if names and "temperature" in has else None


CHECKS: tuple[Check, ...] = (
    border_check(
        "processors/before-temperature",
        "Do biases and penalties act before the temperature?",
        "process",
        _before_temperature,
        (answer, judge, distance),
        count=5,
        size="toy",
    ),
    *map(_check, PROCESSED),
)
