"""Who proposes tokens to speculative decoding: a draft model.

A proposal never holds a token that would end its row: what comes after it is not looked at, so it
need not be read.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from npgpt.decoding.consider import consider, of_row
from npgpt.decoding.logits import checked
from npgpt.decoding.problem import Problem
from npgpt.decoding.processors.pipeline import Processor, pipeline
from npgpt.decoding.reading import Read, Undoable, last_step
from npgpt.decoding.row import Row
from npgpt.decoding.step import Step
from npgpt.decoding.steps import choose


class Proposer(Protocol):
    """A value: what it proposes for the running rows, and how it goes on from there."""

    def of(self, rows: Sequence[int]) -> "Proposer":
        """The proposer of these rows alone, by their index."""
        ...

    def propose(
        self, places: Sequence[int], rows: Sequence[Row]
    ) -> tuple[list[list[int]], "Proposer"]:
        """Tokens that may follow each row, none or several; places: the rows' in the result."""
        ...


@dataclass(frozen=True)
class Draft:
    """A draft model, which decides as the model does: same settings, processors and uniforms.

    state and heard: what it has read of each running row. width: the columns that its logits must
    have, None where any that hold the vocabulary will do.
    """

    problem: Problem
    read: Read
    processors: Mapping[str, Processor]
    state: Undoable
    heard: tuple[tuple[int, ...], ...]
    width: int | None

    def of(self, rows: Sequence[int]) -> "Draft":
        """The draft of these rows: fewer, reordered or repeated."""
        if list(rows) == list(range(len(self.heard))):
            return self
        heard = tuple(self.heard[row] for row in rows)
        return dataclasses.replace(self, state=self.state.select(rows), heard=heard)

    def propose(
        self, places: Sequence[int], rows: Sequence[Row]
    ) -> tuple[list[list[int]], "Draft"]:
        """What `Proposer.propose` says, after forgetting what it had read and is not in the rows.

        No token is read twice. Rows that have no more to propose wait for the others.
        """
        draft, ahead = self._agreeing(rows), list(rows)
        going = [index for index, row in enumerate(rows) if self._may_guess(row, row)]
        while going:
            step, draft = draft._read_on(ahead, going)
            for index in going:
                ahead[index] = self._followed(places[index], ahead[index], step, index)
            going = [
                index
                for index in going
                if len(ahead[index].tokens) > len(draft.heard[index])
                and self._may_guess(ahead[index], rows[index])
            ]
        pairs = zip(ahead, rows, strict=True)
        return [list(row.tokens[len(old.tokens) :]) for row, old in pairs], draft

    def _agreeing(self, rows: Sequence[Row]) -> "Draft":
        pairs = zip(self.heard, rows, strict=True)
        kept = tuple(heard[: _common(heard, row.tokens)] for heard, row in pairs)
        counts = [len(old) - len(new) for old, new in zip(self.heard, kept, strict=True)]
        state = self.state.drop(counts) if any(counts) else self.state
        return dataclasses.replace(self, state=state, heard=kept)

    def _may_guess(self, row: Row, start: Row) -> bool:
        """Whether a token after this one can be of use: one that fills the row cannot."""
        guessed = len(row.tokens) - len(start.tokens)
        return guessed < self.problem.settings.num_assistant_tokens and (
            len(row.tokens) + 1 < row.limit
        )

    def _read_on(self, rows: Sequence[Row], going: Sequence[int]) -> tuple[Step, "Draft"]:
        """The step after these rows, in so far as they are going."""
        each = enumerate(zip(rows, self.heard, strict=True))
        new = [tuple(row.tokens[len(h) :]) if i in going else () for i, (row, h) in each]
        reading = self.read(new, self.state)
        heard = tuple((*old, *more) for old, more in zip(self.heard, new, strict=True))
        return last_step(reading), dataclasses.replace(self, state=reading.state, heard=heard)

    def _followed(self, place: int, row: Row, step: Step, index: int) -> Row:
        """The row with the token that the draft decides on; the row as it is, if that ends it."""
        part = slice(index, index + 1)
        negative = None if step.negative is None else step.negative[part]
        one = checked(
            Step(step.logits[part], None, step.state, negative),
            self.problem,
            [row.prompt],
            done=len(row.new),
            width=self.width,
            source="the assistant",
        )
        stages = consider(self.problem, self.processors, [row], one)
        choice = choose(self.problem, place, row, of_row(stages, 0))
        ends = choice.token is None or choice.stopped is not None
        return row if ends else row.followed_by(choice.token or 0)


def draft_of(problem: Problem, read: Read, rows: Sequence[Row], *, width: int) -> Draft:
    """The draft model that has read the prompts of these rows; width: the model's columns."""
    silent = dataclasses.replace(problem, note=None)
    state = read(problem.prompts, None).state.select([row.prompt for row in rows])
    return Draft(
        problem=silent,
        read=read,
        processors=pipeline(problem.settings, vocab_size=problem.vocab_size),
        state=state,
        heard=tuple(tuple(row.tokens[: row.prompt_length]) for row in rows),
        width=width if problem.vocab_size is None else None,
    )


def _common(heard: Sequence[int], tokens: Sequence[int]) -> int:
    """How many first tokens are the same."""
    same = (one == other for one, other in zip(heard, tokens, strict=False))
    return next((count for count, equal in enumerate(same) if not equal), len(heard))
