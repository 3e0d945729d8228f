"""Conformance: the checks, what they find of a subject, and what that says of it.

A `Check` draws examples, asks the subject and judges its answers; `CHECKS` are all of them. `judge`
asks them and gives a `Judgement`: each `Outcome`, where the model first goes wrong, and which known
bug that looks like.
"""

from oracle.conformance._catalogue import CHECKS, named
from oracle.conformance._check import MATCH, MISMATCH, TIE, Check, Finding
from oracle.conformance._judge import Judgement, judge
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, UNDECIDED, WRONG, Outcome

__all__ = [
    "CHECKS",
    "MATCH",
    "MISMATCH",
    "NOT_OFFERED",
    "RIGHT",
    "TIE",
    "UNDECIDED",
    "WRONG",
    "Check",
    "Finding",
    "Judgement",
    "Outcome",
    "judge",
    "named",
]
