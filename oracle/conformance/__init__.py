"""Conformance: the checks, what they find of a subject, and what that says of it.

A `Check` draws examples, asks the subject and judges its answers; `CHECKS` are all of them, and
`checks_at` those up to one of `SIZES`. `judge` asks them and gives a `Judgement`: each `Outcome`,
where the model first goes wrong, and which known bug that looks like. `check_op` asserts that one
function is one of the ops of `SIGNATURES`; `gpt2_checks` makes a test of each check.
"""

from oracle.conformance._catalogue import CHECKS, checks_at, named
from oracle.conformance._check import MATCH, MISMATCH, TIE, Check, Finding
from oracle.conformance._check_op import OpResult, WrongOp, check_op
from oracle.conformance._checks.ops import SIGNATURES
from oracle.conformance._judge import Judgement, judge
from oracle.conformance._outcome import NOT_OFFERED, RIGHT, UNDECIDED, WRONG, Outcome
from oracle.conformance._parametrise import SubjectCheck, gpt2_checks
from oracle.conformance._sizes import SIZES

__all__ = [
    "CHECKS",
    "MATCH",
    "MISMATCH",
    "NOT_OFFERED",
    "RIGHT",
    "SIGNATURES",
    "SIZES",
    "TIE",
    "UNDECIDED",
    "WRONG",
    "Check",
    "Finding",
    "Judgement",
    "OpResult",
    "Outcome",
    "SubjectCheck",
    "WrongOp",
    "check_op",
    "checks_at",
    "gpt2_checks",
    "judge",
    "named",
]
