"""Scores over wide vocabularies, and long rows: what logits processors go wrong at.

A case has one dimension that is large: the vocabulary, up to GPT-2's 50257; the row, up to a whole
context; how often a token stands in it; or the number that a setting is given. What matters stands
where a table, a window or a narrow type loses it: the oldest tokens of a row are there once, counts
pass 255, and ids pass 32767 and reach the last one.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.strategies._arrays import Array
from oracle.strategies._scores import ScoreProblem

RELEASED = 50257
# A row of a few tokens, and of as many as pass the windows and tables that are in use.
SHORT = 5
LONG = (65, 129, 257, 1000)
# Vocabularies above the default of 50 or 64 candidates, above a byte, above 1024 candidates.
WIDE = (200, 2000, RELEASED)

# Of a vocabulary of 1400: so many equals, and the sum in which the last of them is half.
PLATEAU = 1100
EDGE = (PLATEAU - 0.5) / (PLATEAU + (1400 - PLATEAU) * math.exp(-1))

Settings = dict[str, Any]
Rng = np.random.Generator


@dataclass(frozen=True)
class BorderCase:
    """A size, and what is asked at it.

    settings(rng, tokens): given the first row's ids. prompt: how many tokens are prompt. rows: how
    the ids of each row come about, of `ROWS`. kind: of the scores, of `SCORES`.
    """

    label: str
    settings: Callable[[Rng, list[int]], Settings]
    vocab: int = 300
    length: int = SHORT
    prompt: int = 2
    rows: tuple[str, ...] = ("any",)
    kind: str = "ordinary"

    def problem(self, seed: int) -> ScoreProblem:
        """The problem that `seed` makes of it: the same on every run."""
        rng = np.random.default_rng(seed)
        tokens = np.stack([ROWS[kind](rng, self.vocab, self.length) for kind in self.rows])
        scores = np.stack([SCORES[self.kind](rng, self.vocab) for _ in self.rows])
        settings = self.settings(rng, tokens[0].tolist())
        exact = scores.astype(np.float32).astype(np.float64)
        return ScoreProblem(settings, tokens, self.prompt, exact)


def _any(rng: Rng, vocab: int, length: int) -> Array:
    return rng.integers(0, vocab, length)


def _moving(rng: Rng, vocab: int, length: int) -> Array:
    """Each id stands in one short stretch, so that what is old is nowhere else."""
    different = min(length, vocab - 1)
    return rng.permutation(vocab)[np.arange(length) * different // length]


def _few(rng: Rng, vocab: int, length: int) -> Array:
    """Three ids, so that each is there many times."""
    return rng.choice(vocab, 3, replace=False)[rng.integers(0, 3, length)]


def _returning(rng: Rng, vocab: int, length: int) -> Array:
    """The row ends as it begins, and nothing else is there twice."""
    row = _moving(rng, vocab, length)
    row[-(SHORT - 1) :] = row[: SHORT - 1]
    return row


ROWS: Mapping[str, Callable[[Rng, int, int], Array]] = {
    "any": _any,
    "moving": _moving,
    "few": _few,
    "returning": _returning,
}


def _ordinary(rng: Rng, vocab: int) -> Array:
    return 3 * rng.standard_normal(vocab)


def _flat(rng: Rng, vocab: int) -> Array:
    """None has much, and each has a share of its own; more than any number of candidates count."""
    return rng.permutation(np.linspace(0.0, rng.uniform(0.8, 1.2), vocab))


def _headed(rng: Rng, vocab: int) -> Array:
    """A few ids, the last one among them, have nearly all; edges between their shares are wide."""
    scores = rng.uniform(-1, 0, vocab) - np.log(vocab) - 3
    ids = np.append(rng.choice(vocab - 1, 5, replace=False), vocab - 1)
    scores[rng.permutation(ids)] = np.log([0.34, 0.24, 0.17, 0.12, 0.08, 0.05])
    return scores


def _steep(rng: Rng, vocab: int) -> Array:
    """A few ids far above the others, and far apart, the last one among them."""
    scores = rng.uniform(-1, 0, vocab) - np.log(vocab)
    ids = np.append(rng.choice(vocab - 1, 5, replace=False), vocab - 1)
    scores[rng.permutation(ids)] = rng.uniform(0, 0.9, 6) - np.array([0, 1.2, 2.8, 4.4, 6, 8])
    return scores


def _sparse(rng: Rng, vocab: int) -> Array:
    """The same few, all others being ruled out: of sums of 50,000 rounding may decide much."""
    scores = _headed(rng, vocab)
    return np.where(scores > -3.1, scores, -np.inf)


def _plateau(rng: Rng, vocab: int) -> Array:
    """PLATEAU equals, more than most tables of candidates hold, and the others a unit below."""
    return rng.permutation(np.where(np.arange(vocab) < PLATEAU, 0.0, -1.0))


def _sixteen(rng: Rng, vocab: int) -> Array:
    """Sixteen equals alone: every share, and every sum of shares, is exact."""
    scores = np.full(vocab, -np.inf)
    scores[rng.choice(vocab, 16, replace=False)] = 0
    return scores


def _low(rng: Rng, vocab: int) -> Array:
    """Negative all, as log-probabilities are: a penalty multiplies them."""
    return -rng.uniform(1, 12, vocab)


SCORES: Mapping[str, Callable[[Rng, int], Array]] = {
    "ordinary": _ordinary,
    "flat": _flat,
    "headed": _headed,
    "steep": _steep,
    "sparse": _sparse,
    "plateau": _plateau,
    "sixteen": _sixteen,
    "low": _low,
}


def _fixed(**settings: Any) -> Callable[[Rng, list[int]], Settings]:
    return lambda rng, tokens: dict(settings)


def _many(rng: Rng, vocab: int, count: int) -> list[int]:
    """Different ids from all over the vocabulary, the last one and those about 2^15 among them."""
    edges = [i for i in (0, 255, 256, 32767, 32768, vocab - 1) if i < vocab]
    chosen = rng.choice(vocab, min(count, vocab - 2), replace=False).tolist()
    return sorted({*chosen, *edges})


def _biased(count: int) -> Callable[[Rng, list[int]], Settings]:
    def settings(rng: Rng, tokens: list[int]) -> Settings:
        ids = _many(rng, RELEASED, count)
        return {"logit_bias": {i: float(rng.choice([1.0, -2.5, 0.5])) for i in ids}}

    return settings


def _ending(*lengths: int) -> Callable[[Rng, list[int]], list[tuple[int, ...]]]:
    """Sequences of these lengths that the row ends with all but the last of, and one it does not.

    Their last ids are different, so that each shows.
    """

    def sequences(rng: Rng, tokens: list[int]) -> list[tuple[int, ...]]:
        last = rng.choice(200, len(lengths) + 1, replace=False).tolist()
        made = [
            (*tokens[len(tokens) - length + 1 :], i)
            for length, i in zip(lengths, last[:-1], strict=True)
        ]
        # The oldest token is another one: only a comparison of all of it tells.
        first, *rest = tokens[len(tokens) - max(lengths) + 1 :]
        return [*made, ((first + 1) % 200, *rest, last[-1])]

    return sequences


def _history(name: str, value: float, *, prompt: bool) -> list[BorderCase]:
    """A penalty over all that a row holds, or over all that was generated."""
    kinds = ("moving", "few")
    cases = [
        BorderCase(
            f"row of {length}",
            _fixed(**{name: value}),
            length=length,
            prompt=length // 2 if prompt else 1,
            rows=kinds,
        )
        for length in LONG
    ]
    wide = BorderCase(
        f"vocabulary of {RELEASED}",
        _fixed(**{name: value}),
        vocab=RELEASED,
        length=200,
        prompt=1,
        rows=("any", "moving"),
        kind="low",
    )
    return [*cases, wide]


def _lengths(name: str, *, prompt: bool) -> list[BorderCase]:
    """A minimum just reached, and one that is not, of hundreds of tokens."""
    return [
        BorderCase(
            f"minimum of {least}",
            _fixed(**{name: least - (0 if prompt else 2), "eos_token_id": [1, 299]}),
            length=length,
        )
        for length in (150, 300)
        for least in (length, length + 1)
    ]


def _filter(name: str, *cases: tuple[Any, int, str]) -> list[BorderCase]:
    return [
        BorderCase(
            f"{name} of {value:g} over {vocab}",
            _fixed(**{name: value}),
            vocab=vocab,
            rows=("any", "any"),
            kind=kind,
        )
        for value, vocab, kind in cases
    ]


def _suppressed(name: str) -> list[BorderCase]:
    return [
        BorderCase(
            f"{count} ids",
            lambda rng, tokens, count=count: {name: _many(rng, RELEASED, count)},  # type: ignore[misc]
            vocab=RELEASED,
            prompt=SHORT,
        )
        for count in (5, 300)
    ]


def _forced(name: str, **more: Any) -> list[BorderCase]:
    return [
        BorderCase(
            f"id {i}", _fixed(**{name: i}, **more), vocab=RELEASED, prompt=SHORT, kind="ordinary"
        )
        for i in (255, 256, 32768, RELEASED - 1)
    ]


BORDER_CASES: Mapping[str, list[BorderCase]] = {
    "sequence_bias": [
        BorderCase(
            f"sequences of up to {lengths[-1]}",
            lambda rng, tokens, lengths=lengths: {  # type: ignore[misc]
                "sequence_bias": {
                    s: float(rng.choice([1.5, -2.0])) for s in _ending(*lengths)(rng, tokens)
                }
            },
            length=150,
            rows=("moving",),
        )
        for lengths in ((2, 5), (9, 17), (33, 70))
    ],
    "logit_bias": [
        BorderCase(f"{count} biases", _biased(count), vocab=RELEASED) for count in (10, 300, 1100)
    ],
    "repetition_penalty": _history("repetition_penalty", 1.5, prompt=True),
    "frequency_penalty": _history("frequency_penalty", 0.5, prompt=False),
    "presence_penalty": _history("presence_penalty", 1.0, prompt=False),
    "no_repeat_ngram_size": [
        BorderCase(
            f"{size}-grams in a row of {length}",
            _fixed(no_repeat_ngram_size=size),
            length=length,
            rows=("returning", "few"),
        )
        for length in LONG
        for size in (2, 4)
    ],
    "bad_words_ids": [
        *(
            BorderCase(
                f"words of up to {lengths[-1]}",
                lambda rng, tokens, lengths=lengths: {  # type: ignore[misc]
                    "bad_words_ids": [list(s) for s in _ending(*lengths)(rng, tokens)]
                },
                length=150,
                rows=("moving",),
            )
            for lengths in ((2, 5), (9, 17), (33, 70))
        ),
        BorderCase(
            "1100 words",
            lambda rng, tokens: {"bad_words_ids": [[i] for i in _many(rng, RELEASED, 1100)]},
            vocab=RELEASED,
        ),
    ],
    "min_length": _lengths("min_length", prompt=True),
    "min_new_tokens": _lengths("min_new_tokens", prompt=False),
    "forced_bos_token_id": _forced("forced_bos_token_id"),
    "forced_eos_token_id": _forced("forced_eos_token_id", max_length=SHORT + 1),
    "exponential_decay_length_penalty": [
        BorderCase(
            f"row of {length}",
            _fixed(exponential_decay_length_penalty=(60, 1.01), eos_token_id=299),
            length=length,
        )
        for length in (61, 62, 63, 150, 400)
    ],
    "suppress_tokens": _suppressed("suppress_tokens"),
    "begin_suppress_tokens": _suppressed("begin_suppress_tokens"),
    "temperature": _filter(
        "temperature",
        *((value, vocab, "flat") for value in (1.0, 1e-4, 100.0) for vocab in (200, RELEASED)),
    ),
    "top_h": _filter("top_h", (0.5, 200, "flat"), (0.9, 200, "flat"), (0.5, RELEASED, "sparse")),
    "top_k": _filter(
        "top_k",
        *((k, 2000, "ordinary") for k in (49, 50, 51, 63, 64, 65, 100, 128, 129, 257, 1024, 1025)),
        *((k, RELEASED, "ordinary") for k in (51, 1025, 32769)),
        (1000, 200, "flat"),
    ),
    "top_p": _filter(
        "top_p",
        *((1e-8, vocab, "flat") for vocab in (6, 200)),
        (1e-8, RELEASED, "headed"),
        *((1.0, vocab, kind) for vocab in (6, 200, RELEASED) for kind in ("flat", "ordinary")),
        (0.5, 200, "flat"),
        (0.9, 200, "flat"),
        (EDGE, 1400, "plateau"),
        *((share, 200, "sixteen") for share in (0.5, 0.25)),
        (0.5, RELEASED, "headed"),
    ),
    "min_p": _filter(
        "min_p",
        (0.5, 200, "flat"),
        (0.4, 2000, "flat"),
        (1e-6, RELEASED, "flat"),
        (0.3, RELEASED, "headed"),
    ),
    "typical_p": _filter(
        "typical_p",
        (0.5, 200, "flat"),
        (0.9, 200, "flat"),
        (0.5, RELEASED, "sparse"),
    ),
    "epsilon_cutoff": _filter(
        "epsilon_cutoff", (5e-3, 200, "flat"), (3e-4, 2000, "flat"), (0.1, RELEASED, "sparse")
    ),
    "eta_cutoff": _filter(
        "eta_cutoff", (5e-3, 200, "flat"), (3e-4, 2000, "flat"), (0.1, RELEASED, "sparse")
    ),
}
