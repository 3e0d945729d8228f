"""Verdicts on a checkpoint: numbers, chosen tokens and drawn tokens beside the reference's.

All say the first position that differs, and by how many noise floors.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from oracle.bounds._noise import FACTOR
from oracle.bounds._rounding import Array
from oracle.conformance._check import MATCH, MISMATCH, TIE, Finding
from oracle.conformance._checks.draws import FALSE_ALARMS
from oracle.engines._reference import Reference, Row

TESTS = 10_000  # of frequencies in a run, at the very most
LEVEL = FALSE_ALARMS / TESTS
CATEGORIES = 24  # the likeliest tokens, each by itself; all others are one


def judge_numbers(
    answer: Any,
    wanted: Array,
    allowed: float,
    *,
    what: str,
    first: int = 0,
    floors: float = FACTOR,
) -> Finding:
    """Numbers (position, …) beside the reference's, which may be off by `allowed`.

    first: the position of the first row. what: "logit of token", what stands before the place.
    floors: how many noise floors are allowed.
    """
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "fiu":
        return Finding(MISMATCH, math.inf, f"it gave {type(answer).__name__}, no array of numbers")
    if answer.shape != wanted.shape:
        return Finding(MISMATCH, math.inf, f"it gave shape {answer.shape}; expected {wanted.shape}")
    if not math.isfinite(allowed):
        return Finding(TIE, 0.0, "honest rounding overflows here")
    with np.errstate(invalid="ignore"):
        off = np.nan_to_num(np.abs(answer.astype(np.float64) - wanted), nan=math.inf) / allowed
    error = float(off.max(initial=0))
    if error <= 1:
        return Finding(MATCH, error)
    by_position = off.reshape(len(off), -1).max(1)
    position = int(np.flatnonzero(by_position > 1)[0])
    worst = np.unravel_index(int(off[position].argmax()), off[position].shape)
    place = (position, *map(int, worst))
    token = f" {place[1]}" if len(place) > 1 else ""
    says = f"first differs at position {first + position}{_by(float(off[place]), floors)}: "
    says += f"the {what}{token} is {answer[place]:.9g}; it is {wanted[place]:.9g}"
    if by_position.argmax() != position:
        says += f"; at position {first + int(by_position.argmax())}{_by(error, floors)}"
    return Finding(MISMATCH, error, says)


def noise_floors(error: float, allowed: float = FACTOR) -> str:
    """An error as so many noise floors, of which `allowed` are.

    >>> noise_floors(2.0)
    '16.0 noise floors'
    """
    return f"{allowed * error:,.1f} noise floors"


def _by(error: float, floors: float) -> str:
    return f", by {noise_floors(error, floors)}" if error < math.inf else ""


@dataclass(frozen=True)
class Choice:
    """What the likeliest token is at a place, `settled` where rounding may not decide it."""

    token: int
    second: int
    gap: float  # between the two logits
    row: Row

    @property
    def settled(self) -> bool:
        """Whether each of the two logits can be off as far as it may."""
        return self.gap > 2 * self.row.allowed


def choice_at(row: Row, position: int, bias: Array | float = 0.0) -> Choice:
    """The likeliest token after a position, once `bias` is added to the logits."""
    scores = row.logits[position] + bias
    second, token = np.argsort(scores, kind="stable")[-2:] if len(scores) > 1 else (0, 0)
    return Choice(int(token), int(second), float(scores[token] - scores[second]), row)


def judge_greedy(
    reference: Reference,
    prompt: Sequence[int],
    answer: Any,
    count: int,
    *,
    ends: Sequence[int] = (),
) -> Finding:
    """`count` tokens after a prompt, each the likeliest after the engine's own before it.

    answer: the row, the prompt included. A row may be shorter where one of `ends` ends it.
    """
    row = [int(token) for token in answer]
    start = len(prompt)
    if row[:start] != list(prompt):
        return Finding(MISMATCH, math.inf, f"the row does not begin with its prompt: {row[:8]}")
    chosen = row[start:]
    if wrong := [token for token in chosen if not 0 <= token < reference.vocab_size]:
        return Finding(MISMATCH, math.inf, f"there is no token {wrong[0]}")
    if len(chosen) > count:
        return Finding(MISMATCH, math.inf, f"it gave {len(chosen)} tokens; {count} were asked for")
    ties, largest = 0, 0.0
    scores = reference.row(row[:-1] if len(row) > 1 else row)
    for place, token in enumerate(chosen):
        position = start + place - 1
        choice = choice_at(scores, position)
        if token == choice.token:
            continue
        gap = float(scores.logits[position, choice.token] - scores.logits[position, token])
        error = gap / (2 * scores.allowed) if scores.allowed else math.inf
        if error > 1:
            return Finding(
                MISMATCH,
                error,
                f"first differs at position {start + place}: token {token} in place of "
                f"{choice.token}, whose logit is higher by {gap:.4g}, {noise_floors(2 * error)}",
            )
        ties, largest = ties + 1, max(largest, error)
    if len(chosen) < count and not (chosen and chosen[-1] in ends):
        after = reference.row(row)
        following = choice_at(after, len(row) - 1)
        if following.token in ends:
            return Finding(MATCH)  # an end that is not handed out
        return Finding(
            MISMATCH,
            math.inf,
            f"it stops too early, after {len(chosen)} of {count} tokens, at position {len(row)}",
        )
    if ties:
        return Finding(TIE, largest, f"rounding may decide {ties} of its tokens")
    return Finding(MATCH)


@dataclass(frozen=True)
class Distribution:
    """Probabilities (vocab,) of the next token, and which tokens rounding may let in or out."""

    parts: Array
    doubtful: frozenset[int] = frozenset()


def distribution_after(
    reference: Reference, prompt: Sequence[int], *, temperature: float = 1.0, top_k: int = 0
) -> Distribution:
    """What a token is drawn from after a prompt."""
    row = reference.row(prompt)
    logits = row.logits[len(prompt) - 1]
    kept, doubtful = np.ones(len(logits), bool), frozenset[int]()
    if 0 < top_k < len(logits):
        least = np.sort(logits)[-top_k]
        kept = logits >= least
        near = np.abs(logits - least) <= 2 * row.allowed
        if near.sum() > 1:
            doubtful = frozenset(np.flatnonzero(near).tolist())
    scores = np.where(kept, logits / temperature, -np.inf)
    parts = np.exp(scores - scores.max())
    return Distribution(parts / parts.sum(), doubtful)


def judge_draws(wanted: Distribution, tokens: Sequence[int]) -> Finding:
    """Tokens drawn independently, by exact binomial tests of how often each came.

    The likeliest tokens are tested each by itself, the others together. All tests of a run fail an
    honest sampler with a probability of at most `FALSE_ALARMS`. A token of probability zero is
    wrong at once.
    """
    counts, total = Counter(tokens), len(tokens)
    for token in sorted(counts):
        if not 0 <= token < len(wanted.parts):
            return Finding(MISMATCH, math.inf, f"there is no token {token}")
        if wanted.parts[token] == 0:
            if token in wanted.doubtful:
                return Finding(TIE, 0.0, "rounding may decide which tokens are kept")
            says = f"token {token} has probability 0 and is drawn {counts[token]} times of {total}"
            return Finding(MISMATCH, math.inf, says)
    order = np.argsort(-wanted.parts, kind="stable")
    likely = [int(token) for token in order[:CATEGORIES] if wanted.parts[token] > 0]
    tested = [(f"token {t} is", counts[t], float(wanted.parts[t])) for t in likely]
    rest = total - sum(count for _, count, _ in tested)
    share = max(0.0, 1 - sum(part for *_, part in tested))
    if len(likely) < np.count_nonzero(wanted.parts):
        tested.append(("all others are", rest, share))
    errors = [_error(count, total, part) for _, count, part in tested]
    worst = int(np.argmax(errors))
    if errors[worst] <= 1:
        return Finding(MATCH, errors[worst])
    if wanted.doubtful:
        return Finding(TIE, errors[worst], "rounding may decide which tokens are kept")
    what, count, part = tested[worst]
    return Finding(
        MISMATCH,
        errors[worst],
        f"{what} drawn {count} times of {total}; the probability is {part:.4g}",
    )


def _error(count: int, total: int, part: float) -> float:
    """How many times the level a test is down, in logarithms: above 1 it has failed."""
    pvalue = float(stats.binomtest(count, total, min(part, 1.0)).pvalue)
    return max(0.0, math.log(max(pvalue, 1e-300)) / math.log(LEVEL))
