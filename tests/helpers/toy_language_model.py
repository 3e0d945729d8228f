"""Toy language models over a few tokens, to put in place of a model as `next_step`."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from npgpt.decoding._language_model import Reading, Step

History = tuple[int, ...]


@dataclass(frozen=True)
class ToyState:
    """Everything each row has read."""

    histories: tuple[History, ...]

    def select(self, rows: Sequence[int]) -> "ToyState":
        assert len(rows) > 0, "a decoder has no use for a state without rows"
        return ToyState(tuple(self.histories[row] for row in rows))

    def rewind(self, counts: Sequence[int]) -> "ToyState":
        pairs = list(zip(self.histories, counts, strict=True))
        assert all(0 <= count <= len(history) for history, count in pairs), "nothing to rewind"
        return ToyState(tuple(history[: len(history) - count] for history, count in pairs))


@dataclass(frozen=True)
class Toy:
    """A language model whose logits are any function of all that a row has read.

    So are its hidden states, if it has any. `calls` are the histories that each call asked about.
    """

    logits_of: Callable[[History], Sequence[float]]
    dtype: type = np.float64
    hidden_of: Callable[[History], Sequence[float]] | None = None
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
        hidden = self.hidden_of and np.array([self.hidden_of(history) for history in histories])
        return Step(logits, hidden, ToyState(histories))


@dataclass(frozen=True)
class ToyReader:
    """The same as a whole language model.

    What means nothing is NaN, so that whoever looks at it is found out.

    `calls` are, for each call, the histories that the state had, the new tokens, and `keep`.
    """

    logits_of: Callable[[History], Sequence[float]]
    dtype: type = np.float64
    hidden_of: Callable[[History], Sequence[float]] | None = None
    calls: list[tuple[tuple[History, ...], tuple[History, ...], int]] = field(default_factory=list)

    def __call__(
        self,
        rows: Sequence[Sequence[int]],
        state: ToyState | None,
        *,
        keep: int = 1,
        hidden: bool = True,
    ) -> Reading:
        assert keep >= 1, "somebody wants to know something"
        assert state is None or len(rows) == len(state.histories), "rows and state disagree"
        assert state is not None or all(map(len, rows)), "a row starts with a token"
        new = tuple(map(tuple, rows))
        assert any(new), "nothing to read"
        past = ((),) * len(new) if state is None else state.histories
        self.calls.append((past, new, keep))
        read = [
            [(*old, *row[: end + 1]) for end in range(len(row))]
            for old, row in zip(past, new, strict=True)
        ]
        longest = max(map(len, new))
        logits = _aligned(
            [[self.logits_of(h) for h in r[-keep:]] for r in read], min(keep, longest)
        )
        vectors = None
        if hidden and self.hidden_of:
            vectors = _aligned([list(map(self.hidden_of, r)) for r in read], longest)
        after = tuple((*old, *row) for old, row in zip(past, new, strict=True))
        return Reading(logits.astype(self.dtype), vectors, ToyState(after))


def _aligned(rows: list[list[Sequence[float]]], columns: int) -> np.ndarray:
    size = max(len(vector) for row in rows for vector in row)
    result = np.full((len(rows), columns, size), np.nan)
    for index, row in enumerate(rows):
        result[index, columns - len(row) :] = np.reshape(row, (len(row), size))
    result.setflags(write=False)
    return result


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


def random_vectors(seed: int, size: int) -> Callable[[History], list[float]]:
    """Hidden states that depend on the whole history: whole numbers from -2 to 2, so that zero
    vectors and equal ones are common."""

    @functools.cache
    def hidden_of(history: History) -> list[float]:
        rng = np.random.default_rng([seed, 1, len(history), *history])
        return [float(h) for h in rng.integers(-2, 3, size) * (rng.random() < 0.9)]

    return hidden_of
