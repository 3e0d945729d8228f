"""Writing down what a model says while a decoder runs."""

from collections.abc import Sequence
from typing import NamedTuple

from npgpt.decoding.ledger import Answer
from npgpt.decoding.reading import Read, Reading, Undoable, resumed
from npgpt.decoding.step import State


def recorded(read: Read, answers: dict[tuple[int, ...], Answer]) -> Read:
    """`read`, which writes all that the model says into `answers`, by the tokens read.

    What it says of the same tokens again is not written a second time.

    >>> import numpy as np
    >>> from npgpt.decoding.one_by_one import one_by_one
    >>> from npgpt.decoding.step import Step
    >>> def next_step(rows, state):
    ...     return Step(np.zeros((1, 2)), None, None)
    >>> answers = {}
    >>> _ = recorded(one_by_one(next_step), answers)([[5, 6]], None)
    >>> {tokens: answer.logits is not None for tokens, answer in answers.items()}
    {(5,): False, (5, 6): True}
    """

    def listening(rows: Sequence[Sequence[int]], state: State | None, *, keep: int = 1) -> Reading:
        heard = resumed(state, _Heard)
        past = heard.tokens if heard else ((),) * len(rows)
        reading = read(rows, heard.state if heard else None, keep=keep)
        longer = tuple((*old, *new) for old, new in zip(past, rows, strict=True))
        for index, (row, new) in enumerate(zip(longer, rows, strict=True)):
            for back in range(len(new), 0, -1):
                prefix = row[: len(row) - back + 1]
                if prefix not in answers or answers[prefix].logits is None:
                    logits = reading.logits[index, -back].copy() if back <= keep else None
                    hidden = reading.hidden
                    vector = None if hidden is None else hidden[index, -back].copy()
                    answers[prefix] = Answer(logits, vector)
        return reading._replace(state=_Heard(longer, reading.state))

    return listening


class _Heard(NamedTuple):
    tokens: tuple[tuple[int, ...], ...]
    state: Undoable

    def select(self, rows: Sequence[int]) -> "_Heard":
        return _Heard(tuple(self.tokens[row] for row in rows), self.state.select(rows))

    def drop(self, counts: Sequence[int]) -> "_Heard":
        pairs = zip(self.tokens, counts, strict=True)
        return _Heard(
            tuple(row[: len(row) - count] for row, count in pairs), self.state.drop(counts)
        )
