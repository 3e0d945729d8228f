"""Going through the examples of a check, and finding the smallest that fails."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

# Of smaller examples so many are tried: a number and not a time, so that a busy machine finds the
# same one. Beyond it, examples get smaller by a token or two.
SHRINKING_TRIES = 300


class _Fails(Exception):  # noqa: N818
    """Tells Hypothesis that an example fails."""


def collect(strategy: "st.SearchStrategy[Any]", count: int) -> list[Any]:
    """The first `count` examples of a strategy, the same on every run.

    >>> len(collect(st.integers(), 5))
    5
    """
    found: list[Any] = []
    _explore(strategy, count, found.append, [Phase.generate])
    return found[:count]


def smallest(
    strategy: "st.SearchStrategy[Any]",
    count: int,
    fails: Callable[[Any], bool],
    *,
    known: Sequence[bool] = (),
    tries: int = SHRINKING_TRIES,
) -> Any:
    """The smallest example that fails, of `tries` smaller ones; None if none fails.

    It meets the same `count` examples in the same order as `collect` does, and shrinks the first
    that fails. known: whether the first of them fail, where that was seen before.

    >>> smallest(st.integers(), 100, lambda n: n > 10)
    11
    """
    failing: list[Any] = []
    told, left = iter(known), tries

    def visit(example: Any) -> None:
        nonlocal left
        if failing:
            left -= 1
        seen = None if failing else next(told, None)
        if left > 0 and (fails(example) if seen is None else seen):
            failing.append(example)
            raise _Fails

    # Hypothesis's own exceptions come where the subject is not deterministic.
    with suppress(_Fails, HypothesisException):
        _explore(strategy, count, visit, [Phase.generate, Phase.shrink])
    return failing[-1] if failing else None


def _explore(
    strategy: "st.SearchStrategy[Any]",
    count: int,
    visit: Callable[[Any], None],
    phases: Sequence[Phase],
) -> None:
    @settings(
        max_examples=count,
        phases=phases,
        database=None,
        derandomize=True,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(example: Any) -> None:
        visit(example)

    each()
