"""Toy language models over a few tokens, to put in place of a model as `next_step`."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from npgpt.decoding.step import Step

History = tuple[int, ...]


@dataclass(frozen=True)
class ToyState:
    """Everything each row has read."""

    histories: tuple[History, ...]

    def select(self, rows: Sequence[int]) -> "ToyState":
        assert len(rows) > 0, "a decoder has no use for a state without rows"
        return ToyState(tuple(self.histories[row] for row in rows))


@dataclass(frozen=True)
class Toy:
    """A language model whose logits are any function of all that a row has read.

    `calls` are the histories that each call asked about.
    """

    logits_of: Callable[[History], Sequence[float]]
    dtype: type = np.float64
    calls: list[tuple[History, ...]] = field(default_factory=list)

    def __call__(self, rows: Sequence[Sequence[int]], state: ToyState | None) -> Step:
        if state is None:
            histories = tuple(tuple(row) for row in rows)
        else:
            assert len(rows) == len(state.histories), "rows and state disagree"
            assert all(len(row) == 1 for row in rows), "one new token a row"
            pairs = zip(state.histories, rows, strict=True)
            histories = tuple((*history, *row) for history, row in pairs)
        self.calls.append(histories)
        logits = np.array([self.logits_of(history) for history in histories], dtype=self.dtype)
        logits.setflags(write=False)
        return Step(logits, None, ToyState(histories))


def random_logits(
    seed: int, vocab: int, *, banned: float = 0.0
) -> Callable[[History], list[float]]:
    """Logits that depend on the whole history, in quarters from -4 to 4, so that ties are common.

    Each is -inf with probability `banned`.
    """

    @functools.cache
    def logits_of(history: History) -> list[float]:
        rng = np.random.default_rng([seed, len(history), *history])
        quarters = rng.integers(-16, 17, vocab) / 4
        return [float(z) for z in np.where(rng.random(vocab) < banned, -np.inf, quarters)]

    return logits_of
