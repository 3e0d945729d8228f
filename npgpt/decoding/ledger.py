"""The ledger: what the model said and what was decided on it, so that a run can be explained.

It holds whole score arrays, vocab numbers for each stage of each decision, and is kept only where
`output_ledger` asks for it.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from npgpt.arrays import Array, equal_values
from npgpt.decoding.reading import Reading, complete, resumed, right_aligned
from npgpt.decoding.step import State
from npgpt.errors import SettingError

if TYPE_CHECKING:
    from npgpt.decoding.problem import Problem

_SHOWN = 5  # decisions, by repr and in a notebook
_REPLAY = "replay the problem that it is of"

# Why a row ended. Where several hold at once, the first of them is given.
# no_candidates: every token was ruled out, so that nothing was appended. constraint_unmet: it is as
# long as it may be, and lacks one of force_words_ids.
StopReason: TypeAlias = Literal["no_candidates", "eos", "stop_string", "constraint_unmet", "length"]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Decision:
    """One token appended to a row, or to a beam, and why.

    - row: the place of the row; in a beam search that of its prompt. step: how many tokens it had
      generated before.
    - stages: name -> scores (vocab,): "model", its logits; then what each processor made of them,
      by the name of its setting, in order. The last one is what the token was chosen by.
    - token: None where every token was ruled out. stopped: why the row ended with it, else None.
    - uniform: what it was drawn with. proposed: what the draft of speculative decoding had guessed.
    - parent: the beam that it was appended to; beam: the place it takes among the beams of the next
      step, None where it ends one; total: the sum of the scores of its tokens.
    """

    row: int
    step: int
    stages: Mapping[str, Array]
    token: int | None
    stopped: StopReason | None
    uniform: float | None = None
    proposed: int | None = None
    parent: int | None = None
    beam: int | None = None
    total: float | None = None

    def __eq__(self, other: object) -> bool:
        return equal_values(self, other) if isinstance(other, Decision) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.row, self.step, self.token, self.stopped, self.parent, self.beam))

    def __repr__(self) -> str:
        names = ("token", "stopped", "uniform", "proposed", "parent", "beam", "total")
        given = [f"{name}={getattr(self, name)!r}" for name in names]
        told = ", ".join(text for text in given if not text.endswith("=None"))
        stages = ", ".join(self.stages)
        return (
            f"Decision(row={self.row}, step={self.step}, {told or 'token=None'}; stages {stages})"
        )

    def candidates(self, stage: str) -> npt.NDArray[np.int64]:
        """The ids that are still possible after a stage, the likeliest first."""
        scores = self.stages[stage]
        order = np.argsort(-scores, kind="stable")
        return order[: int((scores > -np.inf).sum())]

    def removed(self, stage: str) -> npt.NDArray[np.int64]:
        """The ids that were possible before a stage and are not after it, in order of id."""
        names = list(self.stages)
        if stage == names[0]:
            return np.flatnonzero(np.isneginf(self.stages[stage]))
        before = self.stages[names[names.index(stage) - 1]]
        return np.flatnonzero(np.isneginf(self.stages[stage]) & (before > -np.inf))


# What a decoder tells of a decision, where somebody listens.
Note: TypeAlias = Callable[[Decision], None]


class Answer(NamedTuple):
    """What the model said after a row of tokens; None for what it was not asked."""

    logits: Array | None
    hidden: Array | None


@dataclass(frozen=True, eq=False, repr=False)
class Ledger:
    """The decisions of a run in their order, the model's answers by the tokens read, the problem.

    With `read`, which answers from the record, the problem that was solved can be solved again
    without the model: `npgpt.decoding.replay`.
    """

    decisions: tuple[Decision, ...]
    answers: Mapping[tuple[int, ...], Answer]
    problem: Problem

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
        titles = ("row", "step", "token", "stopped", "stages")
        head = "".join(f"<th>{title}</th>" for title in titles)
        cells = [(d.row, d.step, d.token, d.stopped, ", ".join(d.stages)) for d in self.decisions]
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in cells[:_SHOWN]
        )
        return f"<table><caption>{len(cells)} decisions</caption><tr>{head}</tr>{body}</table>"

    def read(self, rows: Sequence[Sequence[int]], state: State | None, *, keep: int = 1) -> Reading:
        """The recorded answers. Raises SettingError for tokens that the model was not asked about.

        Its `npgpt.decoding.reading.last_of` is a `next_step`.
        """
        known = resumed(state, _Replayed)
        past = known.tokens if known else ((),) * len(rows)
        longer = tuple((*old, *new) for old, new in zip(past, rows, strict=True))
        said = [self._said(row, len(new)) for row, new in zip(longer, rows, strict=True)]
        logits = complete([[answer.logits for answer in answers[-keep:]] for answers in said])
        if logits is None:
            raise SettingError(f"the ledger lacks logits for the tokens {longer}; {_REPLAY}")
        hidden = complete([[answer.hidden for answer in answers] for answers in said])
        longest = max(map(len, rows))
        return Reading(
            right_aligned(logits, min(keep, longest)),
            None if hidden is None else right_aligned(hidden, longest),
            _Replayed(longer),
        )

    def _said(self, row: tuple[int, ...], new: int) -> list[Answer]:
        prefixes = [row[:end] for end in range(len(row) - new + 1, len(row) + 1)]
        for prefix in prefixes:
            if prefix not in self.answers:
                raise SettingError(f"the ledger has no answer for {list(prefix)}; {_REPLAY}")
        return [self.answers[prefix] for prefix in prefixes]


class _Replayed(NamedTuple):
    tokens: tuple[tuple[int, ...], ...]

    def select(self, rows: Sequence[int]) -> _Replayed:
        return _Replayed(tuple(self.tokens[row] for row in rows))

    def drop(self, counts: Sequence[int]) -> _Replayed:
        pairs = zip(self.tokens, counts, strict=True)
        return _Replayed(tuple(row[: len(row) - count] for row, count in pairs))
