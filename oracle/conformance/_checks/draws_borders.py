"""Whether own draws are independent of one another, and reach all of a real vocabulary.

Copies. After one prompt, `DRAWS` texts are drawn as copies of it, four a prompt. Of two texts that
are drawn independently, as likely as q = Σ p² are equal. At each of a few distances pairs are taken
that have no text in common, so that how many of them are equal is a binomial number; its exact
two-sided test is wrong below `draws.LEVEL`. Texts whose random numbers are shared, by all copies,
in pairs, or by prompts, are equal far more often. After that, each text's own count is tested.

Wide. Single tokens are drawn from vocabularies of 200 and 50257. Tokens are grouped by how likely
they are (the likeliest, the first 5, 50, 64, 1024 …) and by their ids; the count of each group is
tested likewise. So a sampler that never leaves the 50 likeliest is told, asked for top_k or not.

False alarms: no problem has more tests than `draws.CATEGORIES`, which is what LEVEL counts on.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array
from oracle.conformance._check import MATCH, MISMATCH, Check, Finding
from oracle.conformance._checks.draws import (
    CATEGORIES,
    DRAWS,
    ROOM,
    DrawProblem,
    distance,
    error_of,
    exact,
    remembering,
)
from oracle.conformance._checks.draws import judge as judge_counts
from oracle.conformance._checks.rows import copied, read_rows
from oracle.conformance._remembered import remembered
from oracle.conformance._several import border_check
from oracle.decoding._pipeline import process
from oracle.decoding._rows import start_rows
from oracle.ops._softmax import softmax
from oracle.strategies._arrays import MAX_SEED
from oracle.strategies._border_scores import RELEASED
from oracle.strategies._toy_language_models import build_toy
from oracle.strategies._wide_language_models import WideLanguageModel, build_wide

COPIES = 4
# How far apart the texts of a pair are: 1 to 3 are of one prompt, 4 and 8 of neighbouring ones.
APART = (1, 2, 3, COPIES, 2 * COPIES)
# Of single tokens: pairs of texts add 10 tests to those of each text.
COPIED_VOCAB = 5
assert COPIED_VOCAB**ROOM + COPIED_VOCAB + 2 * len(APART) <= CATEGORIES
# Where groups of tokens end, by their rank among the likeliest, and by their ids.
RANKS = (1, 5, 20, 50, 64, 100, 1024)
IDS = (1, 128, 256, 32768)
_SAMPLE: dict[str, Any] = {"do_sample": True}


def answer_copies(subject: Subject, problem: DrawProblem) -> Any:
    """DRAWS rows, COPIES of each prompt side by side."""
    assert subject.draw is not None
    prompts = [list(problem.prompt) for _ in range(DRAWS // COPIES)]
    return copied(subject.draw(remembering(problem.toy), prompts, dict(problem.settings)))


def judge_copies(dtype: str, problem: DrawProblem, answer: Any) -> Finding:
    """How often pairs are equal; then how often each text was drawn."""
    rows = read_rows(answer, [problem.prompt] * DRAWS, problem.toy.vocab_size)
    if isinstance(rows, str):
        return Finding(MISMATCH, np.inf, rows)
    equal = float(sum(p * p for p in exact(problem).values()))
    for apart in APART:
        for first in (0, apart):
            count, pairs = pairs_equal(rows, apart, first)
            error = error_of(count, equal, pairs)
            if error > 1:
                says = f"texts {apart} apart are equal {count} times of {pairs}, not {equal:.3f} of"
                return Finding(MISMATCH, error, f"{says} them: they share random numbers")
    return judge_counts(dtype, problem, answer)


def pairs_equal(rows: Sequence[Any], apart: int, first: int) -> tuple[int, int]:
    """Of pairs `apart` from one another, none with a row in common: how many are equal, of all.

    >>> pairs_equal("aabbcd", 1, 0), pairs_equal("abab", 2, 0)
    ((2, 3), (2, 2))
    """
    left = [i for i in range(first, len(rows) - apart) if (i - first) % (2 * apart) < apart]
    return sum(rows[i] == rows[i + apart] for i in left), len(left)


def _copies(subject: Subject) -> "st.SearchStrategy[Any] | None":
    if subject.draw is None or not {"num_return_sequences"} <= set(subject.settings):
        return None
    if "sampling" not in subject.decoders:
        return None

    @st.composite
    def problems(draw: st.DrawFn) -> DrawProblem:
        kind, seed = draw(st.sampled_from(["even", "small"])), draw(st.integers(0, MAX_SEED))
        toy = build_toy(kind, seed, draw(st.integers(3, COPIED_VOCAB)), 2)
        settings = {"do_sample": True, "max_new_tokens": ROOM, "num_return_sequences": COPIES}
        return DrawProblem(toy, (0,), settings)

    return problems()


@dataclass(frozen=True, eq=False)
class WideDraw:
    """One token after each of `rows` equal prompts, in each of `calls` calls."""

    model: WideLanguageModel
    settings: dict[str, Any]
    rows: int
    calls: int

    @property
    def draws(self) -> int:
        """How many tokens are drawn."""
        return self.rows * self.calls


@remembered
def groups(problem: WideDraw) -> tuple[list[tuple[str, Array]], Array]:
    """Groups of tokens by name, each a mask (vocab,); and the exact shares (vocab,)."""
    settings = {"max_new_tokens": 1, **problem.settings}
    scores = torch.from_numpy(problem.model.logits_of([[0]]))
    scores, _ = process(settings, start_rows([[0]], settings), scores, sampling=True)
    share = softmax(scores)[0].numpy()
    rank = np.empty(len(share), np.int64)
    rank[np.argsort(-share, kind="stable")] = np.arange(len(share))
    made = []
    for of, ends, what in ((rank, RANKS, "ranks"), (np.arange(len(share)), IDS, "ids")):
        edges = [0, *(end for end in ends if end < len(share)), len(share)]
        for least, end in itertools.pairwise(edges):
            made.append((f"{what} {least} to {end - 1}", (of >= least) & (of < end)))
    return made, share


def answer_wide(subject: Subject, problem: WideDraw) -> Any:
    """The rows of all calls."""
    assert subject.draw is not None
    found: list[Any] = []
    for _ in range(problem.calls):
        prompts = [[0] for _ in range(problem.rows)]
        settings = {"max_new_tokens": 1, **problem.settings}
        found += copied(subject.draw(problem.model.logits_of, prompts, settings))
    return tuple(found)


def judge_wide(dtype: str, problem: WideDraw, answer: Any) -> Finding:
    """The counts of all groups beside their exact probabilities."""
    rows = read_rows(answer, [(0,)] * problem.draws, problem.model.vocab_size)
    if isinstance(rows, str):
        return Finding(MISMATCH, np.inf, rows)
    if any(len(row) != 2 for row in rows):
        return Finding(MISMATCH, np.inf, "a row has not one token more than its prompt")
    drawn = np.bincount([row[1] for row in rows], minlength=problem.model.vocab_size)
    named, share = groups(problem)
    never = np.flatnonzero((share == 0) & (drawn > 0))
    if len(never):
        return Finding(MISMATCH, np.inf, f"token {never[0]} has probability 0 and is drawn")
    worst = Finding(MATCH)
    for name, inside in named:
        count, p = int(drawn[inside].sum()), min(float(share[inside].sum()), 1.0)
        error = error_of(count, p, problem.draws)
        says = f"{name} are drawn {count} times of {problem.draws}; their probability is {p:.4f}"
        if error > max(1.0, worst.error):
            worst = Finding(MISMATCH, error, says)
        elif worst.verdict == MATCH:
            worst = Finding(MATCH, max(error, worst.error))
    return worst


def distance_wide(dtype: str, problem: WideDraw, one: Any, other: Any) -> float:
    """At most 1 where both may be samples of the same: neither, or both, are told to be wrong."""
    first, second = (judge_wide(dtype, problem, answer) for answer in (one, other))
    return 0.0 if (first.verdict, first.says) == (second.verdict, second.says) else np.inf


def _wide(subject: Subject) -> Callable[[int], list[tuple[str, WideDraw]]] | None:
    if "sampling" not in subject.decoders:
        return None
    known = set(subject.settings)
    asked: list[dict[str, Any]] = [{}]
    asked += [{"top_k": 60}] if "top_k" in known else []
    asked += [{"top_p": 1.0}] if "top_p" in known else []
    asked += [{"temperature": 2.0}] if "temperature" in known else []

    def build(seed: int) -> list[tuple[str, WideDraw]]:
        cases = [(f"{more} over 200", 200, more, DRAWS, 1) for more in asked]
        cases.append((f"over {RELEASED}", RELEASED, {}, 50, 10))
        return [
            (
                label,
                WideDraw(build_wide("flat", seed, vocab, 1), _SAMPLE | more, *size),
            )
            for label, vocab, more, *size in cases
        ]

    return build


CHECKS: tuple[Check, ...] = (
    Check(
        "draws/copies",
        "Are the copies of a prompt drawn independently of one another?",
        "draw",
        _copies,
        answer_copies,
        judge_copies,
        distance,
        count=4,
        size="borders",
    ),
    border_check(
        "draws/wide",
        "Is every token of a real vocabulary drawn as often as it should be?",
        "draw",
        _wide,
        (answer_wide, judge_wide, distance_wide),
        count=1,
    ),
)
