"""Going through the examples of a check, and finding the smallest that fails."""

import functools
import secrets
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException, HypothesisWarning

try:
    from hypothesis.internal.conjecture import providers
except ImportError:  # releases before 6.112 or so
    providers = None

# Of smaller examples so many are tried: a number and not a time, so that a busy machine finds the
# same one. Beyond it, examples get smaller by a token or two.
SHRINKING_TRIES = 300


class _Fails(Exception):  # noqa: N818
    """Tells Hypothesis that an example fails."""


def fresh_seed() -> int:
    """A seed that nobody could know before: from 1 to 999,999,999."""
    return 1 + secrets.randbelow(999_999_999)


def collect(strategy: "st.SearchStrategy[Any]", count: int, seed: int = 0) -> list[Any]:
    """The first `count` examples of a strategy, the same for the same seed.

    >>> len(collect(st.integers(), 5))
    5
    """
    examples: list[Any] = []
    _explore(strategy, count, seed, examples.append, [Phase.generate])
    return examples[:count]


def smallest(
    strategy: "st.SearchStrategy[Any]",
    count: int,
    fails: Callable[[Any], bool],
    *,
    seed: int = 0,
    known: Sequence[bool] = (),
    tries: int = SHRINKING_TRIES,
    over: Callable[[], bool] = lambda: False,
) -> Any:
    """The smallest example that fails, of `tries` smaller ones; None if none fails.

    It meets the same `count` examples in the same order as `collect` does, and shrinks the first
    that fails. known: whether the first of them fail, where that was seen before. over: whether
    there is no time left.

    >>> smallest(st.integers(), 100, lambda n: n > 10)
    11
    """
    failing: list[Any] = []
    results, left = iter(known), tries

    def visit(example: Any) -> None:
        nonlocal left
        if failing:
            left = 0 if over() else left - 1
        seen = None if failing else next(results, None)
        if left > 0 and (fails(example) if seen is None else seen):
            failing.append(example)
            raise _Fails

    # Hypothesis's own exceptions come where the subject is not deterministic.
    with suppress(_Fails, HypothesisException):
        _explore(strategy, count, seed, visit, [Phase.generate, Phase.shrink])
    return failing[-1] if failing else None


def _explore(
    strategy: "st.SearchStrategy[Any]",
    count: int,
    seed: int,
    visit: Callable[[Any], None],
    phases: Sequence[Phase],
) -> None:
    @seeded(seed)
    @settings(
        max_examples=count,
        phases=phases,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(example: Any) -> None:
        visit(example)

    with _nothing_of_other_modules(), _seeded_with(seed), warnings.catch_warnings():
        # It writes down what fails, and warns that large arrays are long.
        warnings.simplefilter("ignore", HypothesisWarning)
        each()


_SEED: ContextVar[int] = ContextVar("seed", default=0)


@contextmanager
def _seeded_with(seed: int) -> Iterator[None]:
    before = _SEED.set(seed)
    try:
        yield
    finally:
        _SEED.reset(before)


def current_seed() -> int:
    """The seed of the examples that are being drawn, for those that are listed and not drawn."""
    return _SEED.get()


@contextmanager
def _nothing_of_other_modules() -> Iterator[None]:
    """Draw the same whatever else is loaded.

    Hypothesis takes some numbers and texts from the source of all modules that are loaded and not
    installed: one's own tests, the subject where it runs in this process. A seed says which
    examples were asked only where it does not. There is no setting for that; releases that work
    otherwise are left as they are.
    """
    names = "_get_local_constants", "CONSTANTS_CACHE", "Constants"
    if not all(hasattr(providers, name) for name in names):
        yield
        return
    none = providers.Constants()
    before = providers._get_local_constants, providers.CONSTANTS_CACHE
    providers._get_local_constants = lambda: none
    providers.CONSTANTS_CACHE = _cache(type(before[1]))
    try:
        yield
    finally:
        providers._get_local_constants, providers.CONSTANTS_CACHE = before


@functools.cache
def _cache(kind: Callable[[int], Any]) -> Any:
    return kind(1024)
