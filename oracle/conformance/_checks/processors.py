"""Checks of the logits processors: which tokens are left, and what score they have.

Settings that change scores are held to a bound on every score; which tokens they leave is a matter
of whole numbers, so it is exact. Filters leave a set that hangs on sums and logarithms. The
reference tells how far every score may move before that set changes (its slack); a different set is
a TIE only where this is within rounding, and only in the rows where it is. Nearly no example is
tried in which rounding may decide.

Scores are given in float64, whatever the model computes in, and most programs process them in more
than they store; so a subject is held to float32 where it claims less.

Two kinds of exact ties leave nothing to rounding, and are decided:
- top_k keeps every token that is equal to the k-th largest. Rounding never parts equals, nor makes
  the smaller the larger, so none of these may go; one that is within rounding below may stay.
- Two, four or sixteen tokens of score 0, all others ruled out, and top_p (or typical_p) 1/2 or 1/4:
  each share is a power of 1/2, and every sum of shares, in any order, is exact in float32 and
  float64. So is the way over logarithms: exp(-log n) is 1/n even as rounded. (Of other equal scores
  it is not, where s + log n was rounded.) So the number of tokens kept is decided, and one too many
  where the sum equals p is a bug (huggingface/transformers#18976).
Which of several equals a filter keeps is not asked: that they are taken in order of id is a
convention that not every library shares.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from oracle.adapters.guard import Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds._compare import excess
from oracle.bounds._rounding import Array, gamma
from oracle.conformance._boundaries import undecided, working
from oracle.conformance._check import MATCH, MISMATCH, TIE, Check, Finding
from oracle.conformance._remembered import remembered
from oracle.decoding import _pipeline as pipeline
from oracle.decoding._filters import FILTERS
from oracle.decoding._rows import start_rows
from oracle.strategies._decoding_problems import SAMPLING
from oracle.strategies._scores import (
    DEPENDS,
    KINDS,
    MOST_TOKENS,
    PROCESSED,
    ScoreProblem,
    score_problems,
)

# Of one score on its way through all processors: the conversion, up to four biases and as many
# penalties, a power (a library function, of 8 units), a product, a quotient; twice that.
ROUNDINGS = 40
# Of a filter's decision beside: an exp and a log of 8 units each, sums of 8 tokens, quotients.
FILTERING = 64
# Of a decision that hangs on sums of all shares: how many shares a toy has, at most. A further one
# is a further rounding.
SUMMED = MOST_TOKENS
# A row of a toy has so many tokens, at most, and a penalty that is counted token by token has as
# many roundings.
COUNTED = 7
MOST_TOGETHER = 6
COMMON = (("temperature", "top_p"), ("top_k", "top_p"))


class Expected(NamedTuple):
    """The reference's scores, how far each may be off, and the rows that rounding may decide."""

    scores: Array
    allowed: Array
    narrow: Array


@remembered
def reference(dtype: str, problem: ScoreProblem) -> Expected:
    """What the oracle makes of the problem, and what rounding in the dtype may make of that."""
    dtype = working(dtype)
    settings, start = problem.settings, problem.prompt_length
    given = {"max_length": problem.tokens.shape[1] + 2, **settings}
    tokens = problem.tokens.tolist()
    rows = [
        row.then(*ids[start:])
        for row, ids in zip(start_rows([ids[:start] for ids in tokens], given), tokens, strict=True)
    ]
    scores = torch.from_numpy(problem.logits.copy())
    largest = np.abs(np.where(np.isfinite(problem.logits), problem.logits, 0))
    added = _added(settings, problem.tokens.shape[1] - start) * pipeline.gain(
        settings, problem.tokens.shape[1] - start, sampling=True, beams=False
    )
    narrow = np.zeros(len(rows), bool)
    for stage in pipeline.stages(given, rows, scores, sampling=True):
        possible = int((scores > -np.inf).sum(1).max())
        scores, after = stage.scores, stage.scores.numpy()
        if stage.slack is not None:
            # What the filter saw, at least 1: the error of exp's argument is then one of its value.
            seen = np.maximum(largest.max(1) + added, 1)
            terms = FILTERING + _sums(stage.name, settings, possible)
            narrow |= stage.slack.numpy() <= gamma(terms, dtype) * seen
        largest = np.maximum(largest, np.abs(np.where(np.isfinite(after), after, 0)))
    roundings = ROUNDINGS + _counts(settings, problem.tokens.shape[1] - start)
    return Expected(scores.numpy(), gamma(roundings, dtype) * (largest + added), narrow)


def _sums(name: str, settings: Mapping[str, Any], possible: int) -> int:
    """The roundings that a filter's sums over so many possible tokens have beyond a toy's.

    The log-odds of a sum P are off by its relative error over 1 - P. top_k and min_p compare scores
    with one another, and sum nothing.
    """
    if name in ("top_k", "min_p"):
        return 0
    weight = 1 / (1 - settings[name]) if name in ("top_p", "typical_p") else 1.0
    return math.ceil(max(possible - SUMMED, 0) * weight)


def _counts(settings: Mapping[str, Any], generated: int) -> int:
    """The roundings beyond a toy's, one a token, of what is counted or raised to a power by tokens.

    Twice, as for all others.
    """
    counted = {"frequency_penalty", "exponential_decay_length_penalty"} & set(settings)
    return 2 * max(generated - COUNTED, 0) if counted else 0


def _added(settings: Mapping[str, Any], generated: int) -> float:
    """The magnitudes of all that is added to a score, which may cancel."""
    biases = [*settings.get("sequence_bias", {}).values(), *settings.get("logit_bias", {}).values()]
    penalties = generated * abs(settings.get("frequency_penalty", 0))
    return sum(map(abs, biases)) + penalties + abs(settings.get("presence_penalty", 0))


def read(answer: Any, shape: tuple[int, ...]) -> Array | str:
    """The answer as float64 scores of this shape, or what is wrong with it.

    >>> read([[1, 2]], (1, 2)).tolist(), read(None, (1, 2))
    ([[1.0, 2.0]], 'not an array of numbers: None')
    """
    if isinstance(answer, Misbehaviour):
        return answer.says
    try:
        raw = np.asarray(answer)
        if raw.dtype.kind not in "fiu":
            return f"not an array of numbers: {str(answer)[:60]}"
        found = raw.astype(np.float64)
    except Exception:
        return f"not an array of numbers: {type(answer).__name__}"
    if found.shape != shape:
        return f"shape {found.shape} in place of {shape}"
    if np.isnan(found).any():
        row, token = np.argwhere(np.isnan(found))[0]
        return f"NaN for token {token} of row {row}"
    return found


def judge(dtype: str, problem: ScoreProblem, answer: Any) -> Finding:
    """Which tokens are left, then what score they have."""
    found = read(answer, problem.logits.shape)
    if isinstance(found, str):
        return Finding(MISMATCH, np.inf, found)
    wanted = reference(dtype, problem)
    ties = 0
    for row in range(len(found)):
        kept, expected = found[row] > -np.inf, wanted.scores[row] > -np.inf
        verdict = _kept(dtype, problem, wanted, row, kept)
        if verdict == MISMATCH:
            return Finding(MISMATCH, np.inf, _says(problem, row, kept, expected))
        ties += verdict == TIE
    both = (found > -np.inf) & (wanted.scores > -np.inf)
    error = excess(
        np.where(both, found, 0),
        np.where(both, wanted.scores, 0),
        np.where(both, wanted.allowed, 1),
    )
    if error > 1:
        with np.errstate(all="ignore"):
            off = np.where(both, np.abs(found - wanted.scores) - wanted.allowed, -np.inf)
        row, token = np.unravel_index(np.argmax(off), off.shape)
        says = f"score {found[row, token]:.9g} in place of {wanted.scores[row, token]:.9g}"
        return Finding(MISMATCH, error, f"token {token} of row {row} has {says}")
    if ties:
        return Finding(TIE, error, f"rounding may decide what is kept in {ties} rows")
    return Finding(MATCH, error)


def _kept(dtype: str, problem: ScoreProblem, wanted: Expected, row: int, kept: Array) -> str:
    """The verdict on keeping these tokens."""
    settings, logits = problem.settings, problem.logits[row]
    expected = wanted.scores[row] > -np.inf
    if (kept == expected).all():
        return MATCH
    if not wanted.narrow[row] or (kept & (logits == -np.inf)).any() or not kept.any():
        return MISMATCH
    if set(settings) == {"top_k"}:
        size = np.abs(logits[logits > -np.inf]).max()
        near = undecided(
            logits, gamma(FILTERING, working(dtype)) * max(size, 1), k=settings["top_k"]
        )
        lost = (expected & ~kept).any()
        return MISMATCH if lost or (kept & ~expected & ~near).any() else TIE
    if set(settings) <= set(FILTERS) and sorted(logits[kept]) == sorted(logits[expected]):
        return MATCH  # up to which of several equals they are
    return MISMATCH if _exact(settings, logits) else TIE


def settled(dtype: str, problem: ScoreProblem) -> bool:
    """Whether rounding decides nothing, or what it decides is known."""
    return set(problem.settings) == {"top_k"} or all(
        _exact(problem.settings, logits)
        for logits, narrow in zip(problem.logits, reference(dtype, problem).narrow, strict=True)
        if narrow
    )


def _exact(settings: Mapping[str, Any], logits: Array) -> bool:
    """Whether every share and every sum of shares is exact, and p too."""
    possible = logits[logits > -np.inf]
    return (
        set(settings) in ({"top_p"}, {"typical_p"})
        and len(possible) in (2, 4, 16)
        and not possible.any()
        and next(iter(settings.values())) in (0.5, 0.25)
    )


def _says(problem: ScoreProblem, row: int, kept: Array, expected: Array) -> str:
    extra, lost = np.flatnonzero(kept & ~expected), np.flatnonzero(expected & ~kept)
    parts = [
        f"{what} {', '.join(map(str, tokens))}"
        for what, tokens in (("wrongly keeps", extra), ("wrongly drops", lost))
        if len(tokens)
    ]
    return f"row {row} {' and '.join(parts)}"


def answer(subject: Subject, problem: ScoreProblem) -> Any:
    """What the subject's `process` gives, copied."""
    found = subject.process(
        dict(problem.settings),
        problem.tokens.copy(),
        problem.prompt_length,
        problem.logits.copy(),
    )
    return copied(found)


def copied(found: Any) -> Any:
    """An array apart from the subject's own; whatever is none, as it is.

    >>> copied([[1.0]]).tolist(), copied(None)
    ([[1.0]], None)
    """
    try:
        array = np.array(found)
    except Exception:
        return found
    return array if array.dtype.kind in "fiub" else found


def distance(dtype: str, problem: ScoreProblem, one: Any, other: Any) -> float:
    """How far apart two answers are; infinite where they leave other tokens."""
    first, second = (read(each, problem.logits.shape) for each in (one, other))
    if isinstance(first, str) or isinstance(second, str):
        return 0.0 if isinstance(first, str) and first == second else np.inf
    if ((first > -np.inf) != (second > -np.inf)).any():
        return np.inf
    kept = first > -np.inf
    size = np.maximum(
        reference(dtype, problem).allowed, gamma(ROUNDINGS, working(dtype)) * np.abs(first)
    )
    return excess(np.where(kept, first, 0), np.where(kept, second, 0), np.where(kept, size, 1))


def known(subject: Subject) -> list[str]:
    """The settings of processors that the subject knows, with all that they depend on."""
    has = {"max_length", *subject.settings}
    return [name for name in PROCESSED if name in has and DEPENDS.get(name, "max_length") in has]


def _problems(
    subject: Subject, names: Sequence[str], sizes: tuple[int, int], kinds: Sequence[str] = KINDS
) -> "st.SearchStrategy[ScoreProblem]":
    dtype, (least, most) = working(subject.dtype), sizes
    problems = score_problems(
        names, least=least, most=most, kinds=tuple(kinds), dtype=np.dtype(dtype)
    )
    return problems.filter(lambda problem: settled(dtype, problem))


def _check(name: str) -> Check:
    def examples(subject: Subject) -> "st.SearchStrategy[Any] | None":
        return _problems(subject, [name], (1, 1)) if name in known(subject) else None

    return Check(
        f"processors/{name}",
        f"Does {name} leave the right tokens, at the right scores?",
        "process",
        examples,
        answer,
        judge,
        distance,
    )


def _together(subject: Subject) -> "st.SearchStrategy[Any] | None":
    names = known(subject)
    if len(names) < 2:
        return None
    found = [_problems(subject, names, (2, min(MOST_TOGETHER, len(names))))]
    # Those of sampling also by themselves: together with all others they leave one token mostly.
    sampling = [name for name in names if name in SAMPLING]
    if len(sampling) > 1:
        found.append(_problems(subject, sampling, (2, 2)))
    # Those that most programs have, and have in another order.
    for pair in COMMON:
        if set(pair) <= set(names):
            found.append(_problems(subject, pair, (2, 2), ("flat", "ordinary")))
    return st.one_of(found)


CHECKS: tuple[Check, ...] = (
    *map(_check, PROCESSED),
    Check(
        "processors/order",
        "Do several settings together act in their order?",
        "process",
        _together,
        answer,
        judge,
        distance,
        count=300,
    ),
)
