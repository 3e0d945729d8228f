"""Scores of the next token, and settings that change them: what logits processors are given.

Hypothesis draws names, sizes, the kind of each row and a seed; each value comes from the seed and
its own name, so that a failing example loses settings while the others keep their values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from oracle.decoding._filters import FILTERS
from oracle.decoding._pipeline import PROCESSORS
from oracle.strategies._arrays import MAX_SEED, Array
from oracle.strategies._decoding_problems import ANY_DECODER, SAMPLING

# Every setting that acts on scores alone: no function, and nothing that other beams took.
PROCESSED = (
    *(name for name in PROCESSORS if name not in ("diversity_penalty", "prefix_allowed_tokens_fn")),
    "temperature",
    *FILTERS,
)
# What else must be set for a setting to mean anything.
DEPENDS = {
    "min_length": "eos_token_id",
    "min_new_tokens": "eos_token_id",
    "exponential_decay_length_penalty": "eos_token_id",
    "forced_eos_token_id": "max_length",
}
MOST_TOKENS = 8
# Far enough apart for all that is done to a score, and a hundred times what rounds one.
NEAR = 256


@dataclass(frozen=True)
class ScoreProblem:
    """settings, tokens int64 (rows, length), how many of them are prompt, logits (rows, vocab)."""

    settings: dict[str, Any]
    tokens: Array
    prompt_length: int
    logits: Array


def _ordinary(rng: np.random.Generator, vocab: int) -> Array:
    return 3 * rng.standard_normal(vocab)


def _equal(rng: np.random.Generator, vocab: int) -> Array:
    return np.full(vocab, rng.integers(-4, 5))


def _ties(rng: np.random.Generator, vocab: int) -> Array:
    return rng.integers(-2, 3, vocab) / 2


def _flat(rng: np.random.Generator, vocab: int) -> Array:
    return rng.standard_normal(vocab)


def _peaked(rng: np.random.Generator, vocab: int) -> Array:
    return rng.standard_normal(vocab) + 8 * (np.arange(vocab) == rng.integers(vocab))


def _ruled_out(rng: np.random.Generator, vocab: int) -> Array:
    return np.where(rng.random(vocab) < 0.5, -np.inf, rng.standard_normal(vocab))


def _large(rng: np.random.Generator, vocab: int) -> Array:
    return rng.uniform(-1e4, 1e4, vocab)


def _dyadic(rng: np.random.Generator, vocab: int) -> Array:
    scores = np.full(vocab, -np.inf)
    possible = rng.choice([size for size in (1, 2, 4) if size <= vocab])
    scores[rng.choice(vocab, possible, replace=False)] = 0
    return scores


# Simplest first: a failing example shrinks towards the first kind that still fails.
KINDS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "equal": _equal,
    "ordinary": _ordinary,  # few near-ties
    "ties": _ties,  # five values
    "dyadic": _dyadic,  # one, two or four of score 0, all others ruled out
    "ruled_out": _ruled_out,  # half of them, or all
    "peaked": _peaked,  # one has nearly everything
    "large": _large,  # up to 1e4 either way
    "flat": _flat,  # none has most
    "near_ties": _flat,  # brought together, to NEAR units of the dtype and more apart
}


def build_logits(
    kinds: Sequence[str], seed: int, vocab: int, *, dtype: npt.DTypeLike = np.float32
) -> Array:
    """float64 (rows, vocab), a row for each kind; every number is exact in the dtype.

    >>> build_logits(["dyadic", "ties"], 0, 3).tolist()
    [[-inf, 0.0, 0.0], [0.0, 1.0, 1.0]]
    """
    rows = []
    for row, kind in enumerate(kinds):
        rng = np.random.default_rng([seed, row])
        found = KINDS[kind](rng, vocab)
        if kind == "near_ties":
            apart = NEAR * np.finfo(dtype).eps
            found = found[0] * (1 + np.argsort(np.argsort(found)) * apart)
        rows.append(found)
    return np.array(rows, dtype).astype(np.float64)


@st.composite
def score_problems(
    draw: st.DrawFn,
    names: Sequence[str],
    *,
    least: int = 1,
    most: int = 1,
    kinds: Sequence[str] = tuple(KINDS),
    dtype: npt.DTypeLike = np.float32,
) -> ScoreProblem:
    """A problem with `least` to `most` of the settings named, and what these depend on.

    dtype: the one in which every score is exact, and near-ties are far apart yet.
    """
    vocab, length = draw(st.integers(2, MOST_TOKENS)), draw(st.integers(1, 7))
    chosen = draw(
        st.lists(st.sampled_from(names), min_size=least, max_size=most, unique=True)
        if most > 1
        else st.sampled_from(names).map(lambda name: [name])
    )
    rows = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    # Often none generated: what acts at the first token, and what does not, must be seen.
    prompt = draw(st.one_of(st.just(length), st.integers(1, length)))
    seed = draw(st.integers(0, MAX_SEED))
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, rng.integers(1, vocab + 1), (len(rows), length))
    settings = _settings(chosen, seed, vocab, length, prompt)
    return ScoreProblem(settings, tokens, prompt, build_logits(rows, seed, vocab, dtype=dtype))


def _settings(
    names: Sequence[str], seed: int, vocab: int, length: int, prompt: int
) -> dict[str, Any]:
    made = ANY_DECODER | SAMPLING
    found = {name: made[name](Random(f"{seed} {name}"), vocab) for name in names}
    needed = {DEPENDS[name] for name in names if name in DEPENDS}
    if "eos_token_id" in needed:
        found["eos_token_id"] = made["eos_token_id"](Random(f"{seed} eos"), vocab)
    if "max_length" in needed:
        found["max_length"] = length + Random(f"{seed} max_length").choice([1, 1, 2, 3])
    if "min_length" in found:
        found["min_length"] = max(1, length + Random(f"{seed} min").choice([-1, 0, 1, 2]))
    # No minimum may be out of reach: who says so at once is right.
    for name, taken in (("min_length", 0), ("min_new_tokens", prompt)):
        if name in found and "max_length" in found:
            found[name] = min(found[name], found["max_length"] - taken)
    return found
