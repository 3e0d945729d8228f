"""Whether a sampler with its own randomness has the exact distribution: a goodness-of-fit test.

After one prompt, `DRAWS` texts of two tokens are drawn from a toy model under settings that the
subject knows. Each possible text is a category; its exact probability is a fraction, found by
looking at all texts (`oracle.decoding._brute_force.sampled`). Its count is tested by the exact
two-sided binomial test, and is wrong below the p-value `LEVEL`. A text of probability zero that is
drawn once is wrong at once, without any test.

False alarms. Of a run of at most `MOST_PROBLEMS` problems, with at most `CATEGORIES` texts each,
an honest sampler fails any test with a probability of at most `FALSE_ALARMS` = 1e-6 (the sum of all
levels: Bonferroni; an exact test's real level is below its nominal one).

Power. With LEVEL = 2.4e-11 and 2000 draws a text is found wrong with a probability of 99 % where
its probability is 0.342 in place of 1/4, or 0.069 in place of 1/36; `power` computes it.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from scipy import stats

from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array
from oracle.conformance._check import MATCH, MISMATCH, TIE, Check, Finding
from oracle.conformance._checks.rows import copied, read_rows
from oracle.decoding._brute_force import sampled
from oracle.strategies._arrays import MAX_SEED
from oracle.strategies._decoding_problems import SAMPLING
from oracle.strategies._toy_language_models import ToyLanguageModel, build_toy

FALSE_ALARMS = 1e-6
MOST_PROBLEMS = 1000
ROOM = 2
MOST_VOCAB = 6
# Every pair of tokens, and every token that may end a text alone.
CATEGORIES = MOST_VOCAB**ROOM + MOST_VOCAB
LEVEL = FALSE_ALARMS / (MOST_PROBLEMS * CATEGORIES)
DRAWS = 2000
# Exact fractions are what `brute_force` filters by, so temperatures are 1/n.
VALUES: dict[str, tuple[Any, ...]] = {
    name: values
    for name, values in {
        "temperature": (0.5, 0.25, 1.0),
        "top_k": (1, 2, 3),
        "top_p": (0.35, 0.62, 0.93),
        "min_p": (0.15, 0.43),
        "typical_p": (0.35, 0.62, 0.93),
        "top_h": (0.37, 0.73),
        "epsilon_cutoff": (0.07, 0.23),
        "eta_cutoff": (0.07, 0.23),
    }.items()
    if name in SAMPLING
}
# Filters are judged elsewhere where rounding may decide; here a problem this near to it is a TIE.
NUDGE = 1e-3


class DrawProblem(NamedTuple):
    """A toy model, a prompt, and settings under which two tokens are drawn, many times."""

    toy: ToyLanguageModel
    prompt: tuple[int, ...]
    settings: dict[str, Any]


def power(wanted: float, really: float) -> float:
    """How likely a text of probability `really` is found wrong where `wanted` is right.

    >>> round(power(0.25, 0.342), 2), power(0.25, 0.25) <= LEVEL
    (0.99, True)
    """
    low, high = passing(wanted)
    missed = stats.binom.cdf(high, DRAWS, really) - stats.binom.cdf(low - 1, DRAWS, really)
    return (
        float(1 - missed)
        if really != wanted
        else float(stats.binom.sf(high, DRAWS, wanted) + stats.binom.cdf(low - 1, DRAWS, wanted))
    )


@lru_cache(maxsize=4096)
def passing(p: float) -> tuple[int, int]:
    """The least and the largest count that the test lets pass."""
    mode = round(DRAWS * p)

    def passes(count: int) -> bool:
        return stats.binomtest(count, DRAWS, p).pvalue >= LEVEL

    def edge(inside: int, outside: int) -> int:
        if passes(outside):
            return outside
        while abs(outside - inside) > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if passes(middle) else (inside, middle)
        return inside

    return edge(mode, 0), edge(mode, DRAWS)


def exact(problem: DrawProblem) -> dict[tuple[int, ...], Fraction]:
    """The probability of each text that may be drawn."""
    eos = problem.settings.get("eos_token_id")
    return sampled(
        lambda row: problem.toy.probabilities(row),
        problem.prompt,
        ROOM,
        eos=[] if eos is None else [eos],
        settings={k: v for k, v in problem.settings.items() if k in VALUES},
    )


def remembering(toy: ToyLanguageModel) -> Callable[..., Array]:
    """The toy's logits after rows, (rows, vocab), each row worked out once."""
    known: dict[tuple[int, ...], Array] = {}

    def next_logits(rows: Sequence[Sequence[int]]) -> Array:
        keys = [tuple(row) for row in rows]
        for key in set(keys) - known.keys():
            known[key] = toy.logits_of([key])[0]
        return np.array([known[key] for key in keys]).reshape(len(keys), toy.vocab_size)

    return next_logits


def answer(subject: Subject, problem: DrawProblem) -> Any:
    """`DRAWS` rows, copied."""
    assert subject.draw is not None
    prompts = [list(problem.prompt) for _ in range(DRAWS)]
    return copied(subject.draw(remembering(problem.toy), prompts, dict(problem.settings)))


def judge(dtype: str, problem: DrawProblem, answer: Any) -> Finding:
    """The counts of all texts beside their exact probabilities."""
    counts = _counts(problem, answer)
    if isinstance(counts, str):
        return Finding(MISMATCH, np.inf, counts)
    wanted = exact(problem)
    for text in sorted(counts):
        if text not in wanted:
            if _narrow(problem):
                return Finding(TIE, 0.0, "rounding may decide what the filters leave")
            says = f"{list(text)} has probability 0 and is drawn {counts[text]} times"
            return Finding(MISMATCH, np.inf, says)
    # How many levels a p-value is down, in logarithms: above 1 it is too small.
    errors = {text: error_of(counts[text], float(p)) for text, p in wanted.items()}
    worst = max(errors, key=errors.__getitem__)
    if errors[worst] <= 1:
        return Finding(MATCH, errors[worst])
    if _narrow(problem):
        return Finding(TIE, errors[worst], "rounding may decide what the filters leave")
    share = float(wanted[worst])
    says = (
        f"{list(worst)} is drawn {counts[worst]} times of {DRAWS}; its probability is {share:.4f}"
    )
    return Finding(MISMATCH, errors[worst], says)


def error_of(count: int, p: float, draws: int = DRAWS) -> float:
    """How far a count's p-value is down, as a part of the logarithm of LEVEL: above 1 it is wrong.

    >>> error_of(500, 0.25), error_of(1000, 0.25) > 1
    (0.0, True)
    """
    if p >= 1:
        return 0.0 if count == draws else np.inf
    pvalue = stats.binomtest(count, draws, p).pvalue
    return math.log(max(pvalue, 1e-300)) / math.log(LEVEL) + 0.0  # a p-value of 1 gives -0.0


def _counts(problem: DrawProblem, answer: Any) -> Counter[tuple[int, ...]] | str:
    rows = read_rows(answer, [problem.prompt] * DRAWS, problem.toy.vocab_size)
    if isinstance(rows, str):
        return rows
    return Counter(row[len(problem.prompt) :] for row in rows)


def _narrow(problem: DrawProblem) -> bool:
    """Whether a filter's number being moved by NUDGE would change which texts there are."""
    plain = set(exact(problem))
    for name in set(problem.settings) & VALUES.keys() - {"temperature", "top_k"}:
        for by in (1 - NUDGE, 1 + NUDGE):
            value = round(problem.settings[name] * by, 9)
            moved = problem._replace(settings=problem.settings | {name: value})
            if set(exact(moved)) != plain:
                return True
    return False


def distance(dtype: str, problem: DrawProblem, one: Any, other: Any) -> float:
    """Whether two samples may have the same distribution: at most 1 where they may."""
    first, second = _counts(problem, one), _counts(problem, other)
    if isinstance(first, str) or isinstance(second, str):
        return 0.0 if isinstance(first, str) and first == second else np.inf
    # Of as many draws of a text from two equal samples, half are from the first.
    totals = first + second
    pvalues = [stats.binomtest(first[text], n, 0.5).pvalue for text, n in totals.items()]
    return max((math.log(max(p, 1e-300)) / math.log(LEVEL) for p in pvalues), default=0.0)


def _examples(subject: Subject) -> "st.SearchStrategy[Any] | None":
    if subject.draw is None or "sampling" not in subject.decoders:
        return None
    names = [name for name in VALUES if name in subject.settings]
    ends = "eos_token_id" in subject.settings

    @st.composite
    def problems(draw: st.DrawFn) -> DrawProblem:
        toy = build_toy(
            draw(st.sampled_from(["small", "steep", "even"])),
            draw(st.integers(0, MAX_SEED)),
            draw(st.integers(2, MOST_VOCAB)),
            draw(st.integers(1, 4)),
        )
        chosen = draw(st.lists(st.sampled_from(names), max_size=2, unique=True)) if names else []
        settings = {name: draw(st.sampled_from(VALUES[name])) for name in chosen}
        if ends and draw(st.booleans()):
            settings["eos_token_id"] = draw(st.integers(0, toy.vocab_size - 1))
        prompt = draw(st.integers(0, toy.vocab_size - 1))
        return DrawProblem(toy, (prompt,), {"do_sample": True, "max_new_tokens": ROOM} | settings)

    return problems()


CHECKS: tuple[Check, ...] = (
    Check(
        "draws/goodness-of-fit",
        "Are texts drawn as often as their exact probabilities say?",
        "draw",
        _examples,
        answer,
        judge,
        distance,
        count=20,
    ),
)
