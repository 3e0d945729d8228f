"""What a check is: examples to put before a subject, and how to judge each answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from oracle.adapters.answers import printable
from oracle.adapters.subject import Subject

MATCH, TIE, MISMATCH, REFUSED = "match", "tie", "mismatch", "refused"


@dataclass(frozen=True)
class Finding:
    """How one answer compares with the reference.

    verdict: MATCH; TIE, where honest rounding alone may decide; REFUSED, where the subject says
    that this is more than it does (NotImplementedError); or MISMATCH. error: the largest
    error, as a part of what is allowed (0 where nothing is measured, infinite for a wrong kind of
    answer). says: what is wrong, or why it cannot be decided, in one line.
    """

    verdict: str
    error: float = 0.0
    says: str = ""

    def __post_init__(self) -> None:
        """What it says may quote the subject: no terminal is to obey it."""
        object.__setattr__(self, "says", printable(self.says))


@dataclass(frozen=True)
class Check:
    """One question that is asked of a subject again and again.

    name: "area/what". asks: the question, as one line. needs: the function of the subject that
    must be there. examples(subject): a Hypothesis strategy; it may look at the subject's dtype,
    decoders and settings, and is None where nothing of what the check asks is offered.
    answer(subject, example): what the subject makes of it, copied; whatever it raises is its
    answer too. judge(dtype, example, answer): against the reference. distance(dtype, example,
    one, other): how far two answers are apart, in the same unit as Finding.error; at most 1 where
    rounding may account for it. count: how many examples are tried by default. size: of
    `oracle.conformance._sizes.SIZES`, the smallest for which it is asked. refusals: whether it asks
    what is done where there is no answer, which is a verdict apart from that on numbers.
    """

    name: str
    asks: str
    needs: str
    examples: Callable[[Subject], "st.SearchStrategy[Any] | None"]
    answer: Callable[[Subject, Any], Any]
    judge: Callable[[str, Any, Any], Finding]
    distance: Callable[[str, Any, Any, Any], float]
    count: int = 100
    size: str = "toy"
    refusals: bool = False

    @property
    def area(self) -> str:
        """The part of the name before the slash; mutants have the same areas."""
        return self.name.partition("/")[0]
