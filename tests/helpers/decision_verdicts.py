"""Whether a decoder's choice is the reference's, given how far the two may honestly differ.

MATCH: it is. TIE: the reference's own choice hangs on less than the allowed error. MISMATCH: else.
A tie is neither a pass nor a failure: count them, and fail where they are more than `MOST_TIES`.
"""

from collections import Counter

from oracle.conformance._boundaries import chosen, drawn, relative_error, undecided
from oracle.conformance._check import MATCH, MISMATCH, TIE

__all__ = ["MATCH", "MISMATCH", "TIE", "chosen", "drawn", "few_ties", "relative_error", "undecided"]
MOST_TIES = 0.01  # of all choices


def few_ties(verdicts: Counter[str]) -> bool:
    """Whether there is no mismatch among the verdicts, and few ties: one, or one in a hundred.

    >>> few_ties(Counter(match=300, tie=3)), few_ties(Counter(match=9, tie=2)), few_ties(Counter())
    (True, False, False)
    """
    total = verdicts.total()
    return bool(total) and not verdicts[MISMATCH] and verdicts[TIE] <= max(1, MOST_TIES * total)
