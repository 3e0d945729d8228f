"""Language models over any number of tokens, and texts made of pieces: for decoders at real sizes.

What follows a row is one of a few distributions, chosen by its last two tokens, as in a toy model;
but these are tables of logits, so that a vocabulary of 50257 costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.strategies._arrays import Array
from oracle.strategies._border_scores import SCORES


@dataclass(frozen=True, eq=False)
class WideLanguageModel:
    """table: float64 (distributions, vocab), logits; vectors: (vocab, 2), the state at each token.

    steps: what the last token, and the one before it, count in choosing the distribution. pieces:
    the bytes that each token stands for, which may be a part of a character. recipe: what made it.
    """

    table: Array
    steps: tuple[int, int]
    vectors: Array
    pieces: tuple[bytes, ...] = ()
    recipe: str = "WideLanguageModel"

    def __repr__(self) -> str:
        return self.recipe

    @property
    def vocab_size(self) -> int:
        """The number of tokens."""
        return self.table.shape[1]

    def logits_of(
        self, rows: Sequence[Sequence[int]], *, dtype: npt.DTypeLike = np.float64
    ) -> Array:
        """What follows each row: (rows, vocab)."""
        turns = [self._turn(row) for row in rows]
        return self.table[np.array(turns, np.intp)].astype(dtype)

    def _turn(self, row: Sequence[int]) -> int:
        last, before = [*reversed(row[-2:]), 0, 0][:2]
        return (self.steps[0] * int(last) + self.steps[1] * int(before)) % len(self.table)

    def hidden_of(self, rows: Sequence[Sequence[int]]) -> list[Array]:
        """The hidden state at each token of each row: float64 (length, 2) each."""
        return [self.vectors[np.array(row, np.intp)] for row in rows]

    def text_of(self, tokens: Sequence[int]) -> str:
        """The text of tokens; what is not a whole character is U+FFFD.

        >>> scripted([b"a", bytes([0xc3]), bytes([0xa9])]).text_of([0, 1, 2])
        'aé'
        """
        return b"".join(self.pieces[token] for token in tokens).decode("utf-8", "replace")

    def rolled(self) -> "WideLanguageModel":
        """The same distributions in another order: it is right about this one now and then."""
        table = np.concatenate([self.table[:1], np.roll(self.table[1:], 1, axis=0)])
        return WideLanguageModel(table, self.steps, self.vectors, self.pieces, self.recipe)


def build_wide(kind: str, seed: int, vocab: int, distributions: int) -> WideLanguageModel:
    """The model whose distributions are scores of this kind (of `SCORES`): the same on every run.

    >>> build_wide("flat", 0, 200, 4).logits_of([[7, 1]]).shape
    (1, 200)
    """
    rng = np.random.default_rng(seed)
    table = np.stack([SCORES[kind](rng, vocab) for _ in range(distributions)])
    table = table.astype(np.float32).astype(np.float64)
    vectors = rng.integers(-2, 3, (vocab, 2)) + rng.integers(1, 4, (vocab, 2)) / 4.0
    recipe = f"build_wide({kind!r}, {seed}, {vocab}, {distributions})"
    return WideLanguageModel(table, (1, 2), vectors, recipe=recipe)


def scripted(pieces: Sequence[bytes]) -> WideLanguageModel:
    """The model that says these pieces in their order, each of them a token, and then the first.

    >>> script = scripted([b"on", b"ce", b" up"])
    >>> int(script.logits_of([[0]]).argmax()), script.text_of([0, 1])
    (1, 'once')
    """
    count = len(pieces)
    table = np.full((count, count), -4.0)
    table[np.arange(count), (np.arange(count) + 1) % count] = 4.0
    vectors = np.ones((count, 2))
    recipe = f"scripted({list(pieces)!r})"
    return WideLanguageModel(table, (1, 0), vectors, tuple(pieces), recipe)
