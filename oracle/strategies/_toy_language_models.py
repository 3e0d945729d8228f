"""Language models over 2 to 6 tokens whose every probability is an exact fraction.

What follows a row depends on its last two tokens at most. The probabilities are few (up to four
distributions, which of them applies being a sum), so that rows often meet the same one: ties,
zeros and near-ties between whole texts come about, not between tokens only.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from oracle.strategies._arrays import MAX_SEED, Array

LETTERS = "abcdef"


@dataclass(frozen=True)
class ToyLanguageModel:
    """weights: for each distribution the weight of every token, a whole number.

    steps: what the last token, and the one before it, count in choosing the distribution.
    vectors: for each token the hidden state at it, whole numbers.

    >>> toy = ToyLanguageModel(((1, 1, 2), (0, 1, 0)), (1, 0), ((1, 0), (0, 1), (0, 0)))
    >>> [str(p) for p in toy.probabilities([2, 0])], toy.probabilities([1])[1]
    (['1/4', '1/4', '1/2'], Fraction(1, 1))
    """

    weights: tuple[tuple[int, ...], ...]
    steps: tuple[int, int]
    vectors: tuple[tuple[int, ...], ...]

    @property
    def vocab_size(self) -> int:
        """The number of tokens."""
        return len(self.weights[0])

    def probabilities(self, row: Sequence[int]) -> tuple[Fraction, ...]:
        """The probability of each token after the row, an empty one too; they sum to 1."""
        last, before = [*reversed(row[-2:]), 0, 0][:2]
        weights = self.weights[(self.steps[0] * last + self.steps[1] * before) % len(self.weights)]
        return tuple(Fraction(weight, sum(weights)) for weight in weights)

    def logits_of(
        self, rows: Sequence[Sequence[int]], *, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """The logarithms of the probabilities after each row: (rows, vocab)."""
        found = [[_log(p) for p in self.probabilities(row)] for row in rows]
        return np.array(found, dtype).reshape(len(rows), self.vocab_size)

    def text_of(self, tokens: Sequence[int]) -> str:
        """The text of tokens, a letter each."""
        return text_of(tokens)

    def hidden_of(self, rows: Sequence[Sequence[int]]) -> list[Array]:
        """The hidden state at each token of each row: float64 (length, embd) each."""
        table = np.array(self.vectors, np.float64)
        return [table[np.array(row, np.intp)] for row in rows]


def text_of(tokens: Sequence[int]) -> str:
    """The text of tokens, a letter each.

    >>> text_of([0, 2])
    'ac'
    """
    return "".join(LETTERS[token] for token in tokens)


def _log(p: Fraction) -> float:
    # Of the reduced fraction, so that equal probabilities have equal logits.
    return math.log(p.numerator) - math.log(p.denominator) if p else -math.inf


def _even(rng: Random, vocab: int) -> list[int]:
    return [1] * vocab


def _small(rng: Random, vocab: int) -> list[int]:
    return [rng.randint(0, 4) for _ in range(vocab)]


def _steep(rng: Random, vocab: int) -> list[int]:
    return [rng.randint(1, 10) ** 3 for _ in range(vocab)]


def _certain(rng: Random, vocab: int) -> list[int]:
    only = rng.randrange(vocab)
    return [int(token == only) for token in range(vocab)]


def _near_ties(rng: Random, vocab: int) -> list[int]:
    return [2**40 + rng.randint(0, 2) for _ in range(vocab)]


# Simplest first: a failing example shrinks towards the first kind that still fails.
KINDS: dict[str, Callable[[Random, int], list[int]]] = {
    "even": _even,  # whatever is chosen is chosen by the rule for ties
    "small": _small,  # weights from 0 to 4: many ties and zeros
    "steep": _steep,  # from 1 to 1000: few ties
    "certain": _certain,  # one token has all
    "near_ties": _near_ties,  # shares that differ by 1e-12, if at all
}


def build_toy(kind: str, seed: int, vocab: int, distributions: int) -> ToyLanguageModel:
    """The toy model of `kind` (a key of `KINDS`) that `seed` makes: the same on every run.

    >>> toy = build_toy("small", 0, 3, 2)
    >>> toy.weights, toy.steps, toy.vectors
    (((1, 3, 1), (4, 1, 2)), (2, 0), ((2, 1), (1, -1), (0, -2)))
    """
    rng = Random(f"{kind} {seed}")
    weights = []
    for _ in range(distributions):
        drawn = KINDS[kind](rng, vocab)
        weights.append(tuple(drawn) if any(drawn) else (1,) * vocab)
    steps = rng.randint(0, 3), rng.randint(0, 3)
    vectors = tuple((rng.randint(-2, 2), rng.randint(-2, 2)) for _ in range(vocab))
    return ToyLanguageModel(tuple(weights), steps, vectors)


@st.composite
def toy_language_models(
    draw: st.DrawFn, *, vocab: int | None = None, kinds: Sequence[str] = tuple(KINDS)
) -> ToyLanguageModel:
    """Any toy model; shrinks towards two tokens, equally likely whatever came before."""
    size = draw(st.integers(2, 6)) if vocab is None else vocab
    distributions = draw(st.integers(1, 4))
    return build_toy(
        draw(st.sampled_from(kinds)), draw(st.integers(0, MAX_SEED)), size, distributions
    )
