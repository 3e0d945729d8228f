"""Ledger: what the model said and what was decided on it, so that a run can be explained.

It holds whole score arrays, vocab numbers for each stage of each decision, and is kept only where
`output_ledger` asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from npgpt._arrays import Array, equal_values
from npgpt._notebook import columns_table
from npgpt.decoding._language_model import (
    LanguageModel,
    Reading,
    RewindableState,
    State,
    complete,
    resumed,
    right_aligned,
    without_last,
)
from npgpt.decoding._request import Request
from npgpt.decoding._run import Decision
from npgpt.errors import SettingError

_SHOWN = 5  # decisions, by repr and in a notebook
_REPLAY = "replay the problem that it is of"


class Answer(NamedTuple):
    """What the model said after a row of tokens; None for what it was not asked."""

    logits: Array | None
    hidden: Array | None


@dataclass(frozen=True, eq=False, repr=False)
class Ledger:
    """The decisions of a run in their order, the model's answers by the tokens read, the request.

    `read` is a language model that answers from the record: with it the run can be repeated without
    the model, as `npgpt.decoding.replay` does.
    """

    decisions: tuple[Decision, ...]
    answers: Mapping[tuple[int, ...], Answer]
    request: Request

    def __eq__(self, other: object) -> bool:
        return equal_values(self, other) if isinstance(other, Ledger) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.decisions)

    def __repr__(self) -> str:
        shown = [f"  {decision!r}"[:150] for decision in self.decisions[:_SHOWN]]
        left = len(self.decisions) - len(shown)
        more = [f"  ... and {left} more"] if left else []
        head = (
            f"Ledger({len(self.decisions)} decisions on {len(self.answers)} answers of the model)"
        )
        return "\n".join([head, *shown, *more])

    def _repr_html_(self) -> str:
        return columns_table(
            ("row", "step", "token", "stopped", "stages"),
            [
                (d.row, d.step, d.token, d.stopped, ", ".join(d.stages))
                for d in self.decisions[:_SHOWN]
            ],
            title=f"the first of {len(self.decisions)} decisions",
        )

    def read(
        self,
        rows: Sequence[Sequence[int]],
        state: State | None,
        *,
        keep: int = 1,
        hidden: bool = True,
    ) -> Reading:
        """The recorded answers. Raises SettingError for tokens that the model was not asked about.

        It is a `npgpt.decoding.LanguageModel`.
        """
        before = resumed(state, _Replayed)
        past = ((),) * len(rows) if before is None else before.tokens
        histories = _longer(past, rows)
        answers = [self._answers(row, len(new)) for row, new in zip(histories, rows, strict=True)]
        logits = complete([[answer.logits for answer in of_row[-keep:]] for of_row in answers])
        if logits is None:
            raise SettingError(f"the ledger lacks logits for the tokens {histories}; {_REPLAY}")
        vectors = complete([[answer.hidden for answer in of_row] for of_row in answers])
        longest = max(map(len, rows))
        return Reading(
            right_aligned(logits, min(keep, longest)),
            None if vectors is None else right_aligned(vectors, longest),
            _Replayed(histories),
        )

    def _answers(self, row: tuple[int, ...], new: int) -> list[Answer]:
        prefixes = [row[:end] for end in range(len(row) - new + 1, len(row) + 1)]
        for prefix in prefixes:
            if prefix not in self.answers:
                raise SettingError(f"the ledger has no answer for {list(prefix)}; {_REPLAY}")
        return [self.answers[prefix] for prefix in prefixes]


def recorded(model: LanguageModel, answers: dict[tuple[int, ...], Answer]) -> LanguageModel:
    """The model, which writes all that it says into `answers`, by the tokens read.

    It is asked for all hidden states. What it says of the same tokens again is not written a second
    time.

    >>> import numpy as np
    >>> from npgpt.decoding._language_model import Step, one_by_one
    >>> def next_step(rows, state):
    ...     return Step(np.zeros((1, 2)), None, None)
    >>> answers = {}
    >>> _ = recorded(one_by_one(next_step), answers)([[5, 6]], None)
    >>> {tokens: answer.logits is not None for tokens, answer in answers.items()}
    {(5,): False, (5, 6): True}
    """

    def read(
        rows: Sequence[Sequence[int]],
        state: State | None,
        *,
        keep: int = 1,
        hidden: bool = True,
    ) -> Reading:
        before = resumed(state, _Recorded)
        past = ((),) * len(rows) if before is None else before.tokens
        reading = model(rows, None if before is None else before.state, keep=keep, hidden=True)
        histories = _longer(past, rows)
        for index, (row, new) in enumerate(zip(histories, rows, strict=True)):
            for back in range(len(new), 0, -1):
                prefix = row[: len(row) - back + 1]
                if prefix not in answers or answers[prefix].logits is None:
                    logits = reading.logits[index, -back].copy() if back <= keep else None
                    vectors = reading.hidden
                    vector = None if vectors is None else vectors[index, -back].copy()
                    answers[prefix] = Answer(logits, vector)
        return reading._replace(state=_Recorded(histories, reading.state))

    return read


class _Replayed(NamedTuple):
    """All that each row has read."""

    tokens: tuple[tuple[int, ...], ...]

    def select(self, rows: Sequence[int]) -> _Replayed:
        return _Replayed(tuple(self.tokens[row] for row in rows))

    def rewind(self, counts: Sequence[int]) -> _Replayed:
        return _Replayed(without_last(self.tokens, counts))


class _Recorded(NamedTuple):
    """All that each row has read, and the model's own state."""

    tokens: tuple[tuple[int, ...], ...]
    state: RewindableState

    def select(self, rows: Sequence[int]) -> _Recorded:
        return _Recorded(tuple(self.tokens[row] for row in rows), self.state.select(rows))

    def rewind(self, counts: Sequence[int]) -> _Recorded:
        return _Recorded(without_last(self.tokens, counts), self.state.rewind(counts))


def _longer(
    past: Sequence[tuple[int, ...]], rows: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], ...]:
    return tuple((*old, *new) for old, new in zip(past, rows, strict=True))
