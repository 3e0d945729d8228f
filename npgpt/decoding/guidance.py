"""Classifier-free guidance: away from what would follow a negative prompt."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npgpt.arrays import Array, quiet
from npgpt.decoding.reading import Read, Reading, Undoable, resumed
from npgpt.decoding.step import NextStep, State, Step
from npgpt.ops.softmax import log_softmax


def guidance(logits: Array, negative: Array, *, scale: float) -> Array:
    """`log p⁻ + γ (log p − log p⁻)`, p = softmax(logits), p⁻ = softmax(negative), γ the scale.

    (rows, vocab) each -> (rows, vocab), float64. γ = 1 is log p; above 1 it moves away from p⁻.
    What p rules out stays ruled out; of what p⁻ alone rules out, γ log p is left.

    Source: Sanchez et al. 2023, "Stay on topic with Classifier-Free Guidance", equation 7.

    >>> guidance(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]]), scale=2.0).round(4)
    array([[ 0.    , -1.0986]])
    """
    likely = log_softmax(logits.astype(np.float64))
    against = log_softmax(negative.astype(np.float64))
    against = np.where(np.isneginf(against), 0, against)
    with quiet():
        guided: Array = scale * likely + (1 - scale) * against
    return np.where(np.isneginf(likely), likely, guided)


def guided(next_step: NextStep, negative_prompts: Sequence[Sequence[int]]) -> NextStep:
    """`next_step`, which reads each row a second time, with the negative prompt for its prompt.

    Its steps hold those logits as `negative`.
    """

    def both(rows: Sequence[Sequence[int]], state: State | None) -> Step:
        pair = resumed(state, _Pair)
        step = next_step(rows, pair.of_prompt if pair else None)
        other = next_step(rows, pair.of_negative) if pair else next_step(negative_prompts, None)
        return step._replace(state=_Pair(step.state, other.state), negative=other.logits)

    return both


def guided_read(read: Read, negative_prompts: Sequence[Sequence[int]]) -> Read:
    """`guided`, for a `read` in place of a `next_step`."""

    def both(rows: Sequence[Sequence[int]], state: State | None, *, keep: int = 1) -> Reading:
        pair = resumed(state, _UndoablePair)
        reading = read(rows, pair.of_prompt if pair else None, keep=keep)
        against = rows if pair else negative_prompts
        other = read(against, pair.of_negative if pair else None, keep=keep)
        states = _UndoablePair(reading.state, other.state)
        return reading._replace(state=states, negative=other.logits)

    return both


class _Pair(NamedTuple):
    """The state of the rows, and of the same tokens after the negative prompts."""

    of_prompt: State
    of_negative: State

    def select(self, rows: Sequence[int]) -> "_Pair":
        return _Pair(self.of_prompt.select(rows), self.of_negative.select(rows))


class _UndoablePair(NamedTuple):
    """The same of states that can forget."""

    of_prompt: Undoable
    of_negative: Undoable

    def select(self, rows: Sequence[int]) -> "_UndoablePair":
        return _UndoablePair(self.of_prompt.select(rows), self.of_negative.select(rows))

    def drop(self, counts: Sequence[int]) -> "_UndoablePair":
        return _UndoablePair(self.of_prompt.drop(counts), self.of_negative.drop(counts))
