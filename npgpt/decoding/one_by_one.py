"""Reading with a model that only says what follows the last token."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npgpt.decoding.reading import Read, Reading, complete, resumed, right_aligned
from npgpt.decoding.step import NextStep, State, Step
from npgpt.errors import SettingError


def one_by_one(next_step: NextStep) -> Read:
    """A `read` for a model that has only `next_step`: it is asked token by token, row by row.

    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> def next_step(rows, state):
    ...     return Step(np.eye(3)[[row[-1] for row in rows]], None, Nothing())
    >>> one_by_one(next_step)([[0, 2]], None, keep=2).logits
    array([[[1., 0., 0.],
            [0., 0., 1.]]])
    """

    def read(rows: Sequence[Sequence[int]], state: State | None, *, keep: int = 1) -> Reading:
        known = resumed(state, _Trails)
        trails = known.trails if known else ((),) * len(rows)
        said = [_followed(next_step, row, trail) for row, trail in zip(rows, trails, strict=True)]
        logits = [[step.logits[0] for step in steps[-keep:]] for steps in said]
        vectors = [[None if s.hidden is None else s.hidden[0] for s in steps] for steps in said]
        hidden, longest = complete(vectors), max(map(len, rows))
        pairs = zip(trails, said, strict=True)
        return Reading(
            right_aligned(logits, min(keep, longest)),
            None if hidden is None else right_aligned(hidden, longest),
            _Trails(tuple((*trail, *(step.state for step in steps)) for trail, steps in pairs)),
        )

    return read


class _Trails(NamedTuple):
    """For each row, the state of `next_step` after each of its tokens."""

    trails: tuple[tuple[State, ...], ...]

    def select(self, rows: Sequence[int]) -> "_Trails":
        return _Trails(tuple(self.trails[row] for row in rows))

    def drop(self, counts: Sequence[int]) -> "_Trails":
        pairs = zip(self.trails, counts, strict=True)
        return _Trails(tuple(trail[: len(trail) - count] for trail, count in pairs))


def _followed(next_step: NextStep, row: Sequence[int], trail: Sequence[State]) -> list[Step]:
    """The steps through the tokens of a row, one by one, after the last state of its trail."""
    steps: list[Step] = []
    state = trail[-1] if trail else None
    for token in row:
        step = next_step([[token]], state)
        if not isinstance(step.logits, np.ndarray) or step.logits.shape[:-1] != (1,):
            raise SettingError(
                f"next_step gave logits of shape {np.shape(step.logits)} and kind "
                f"{type(step.logits).__name__} for 1 row; it must give an array (rows, vocabulary)"
            )
        steps.append(step)
        state = step.state
    return steps
