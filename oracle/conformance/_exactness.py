"""Exactness of a subject beyond the format that it claims, which hides bugs from the judge.

What rounding may do in bfloat16 is more than many a bug does: a subject that computes in float32,
and claims bfloat16, would be RIGHT with the erf form of GELU.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from oracle.bounds._rounding import Array
from oracle.conformance._check import MATCH
from oracle.conformance._model_examples import in_dtype
from oracle.conformance._outcome import Outcome

NARROW = ("bfloat16", "float16")
AREAS = ("model", "ops", "cache")
# Of what rounding may do: the median of errors. Measured over the models and ops of the catalogue,
# it is 0.017 and more in honest bfloat16 or float16, and 1e-5 and less in float32; in float32 with
# the erf form of GELU it is 7e-4 and less.
FAR_BELOW = 0.002
ENOUGH = 8  # errors above 0 to tell by: what is exact in any format tells nothing


def exactness(dtype: str, outcomes: Iterable[Outcome]) -> tuple[str, bool]:
    """What is to be told, or ""; and whether it computes more exactly than it claims."""
    if dtype not in NARROW:
        return "", False
    asked = [outcome for outcome in outcomes if outcome.check.area in AREAS]
    errors = [error for outcome in asked for error in _errors(outcome)]
    share = _not_held(dtype, [seen.answer for outcome in asked for seen in outcome.seen])
    held = f"{100 * share:.0f} % of the numbers that it answers are none that {dtype} can hold"
    median = float(np.median(errors)) if len(errors) >= ENOUGH else 1.0
    if median < FAR_BELOW:
        more = f", and {held}" if share else ""
        return (
            f"computes more exactly than {dtype}: half of its errors are below {median:.2g} of "
            f"what rounding in {dtype} may do{more}; bugs smaller than that rounding stay hidden: "
            "let it claim float32",
            True,
        )
    return (f"{held}: it computes in more at its end", False) if share else ("", False)


def _errors(outcome: Outcome) -> list[float]:
    findings = (one.finding for one in outcome.seen)
    return [f.error for f in findings if f.verdict == MATCH and f.error > 0]


def _not_held(dtype: str, answers: Sequence[object]) -> float:
    """The share of finite numbers that are none of this format."""
    arrays: list[Array] = [
        answer for answer in answers if isinstance(answer, np.ndarray) and answer.dtype.kind == "f"
    ]
    finite = [array[np.isfinite(array)] for array in arrays]
    count = sum(array.size for array in finite)
    others = sum(int((in_dtype(dtype, array) != array).sum()) for array in finite if array.size)
    return others / count if count else 0.0
