"""Run: one decoder at work, and all that it needs: rows, logits, scores, choices.

A decoder is a function of a `Run`. It reads the prompts with `prefill`, which gives a `Batch`: the
running rows with the logits after each. It scores them (`scores`), appends the tokens that it
chooses (`record`), and reads on with `extend`, or with `read_on` where a row may go on several
ways. `npgpt.decoding._sampling` is the shortest example.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, equal_values
from npgpt.decoding._language_model import LanguageModel, Reading, RewindableState, check_logits
from npgpt.decoding._prompts import check_vocabulary
from npgpt.decoding._request import Request, StopReason, stop_reason
from npgpt.decoding._scoring import Processor, Row, Scores, score
from npgpt.errors import NonFiniteError, SettingError


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
        fields = [f"{name}={getattr(self, name)!r}" for name in names]
        shown = ", ".join(field for field in fields if not field.endswith("=None"))
        head = f"row={self.row}, step={self.step}, {shown or 'token=None'}"
        return f"Decision({head}; stages {', '.join(self.stages)})"

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


# Who is told of each decision, where somebody listens.
Note: TypeAlias = Callable[[Decision], None]


class Choice(NamedTuple):
    """What one step decided for one row.

    row: with the token, if there is one. token: the id appended, None where every token was ruled
    out, and logprob the model's own of it. scores (vocab,): what it was chosen by, valid until the
    next step. stopped: why the row ends here, None where it goes on.
    """

    row: Row
    token: int | None
    logprob: float | None
    scores: Array
    stopped: StopReason | None


class Batch(NamedTuple):
    """Running rows, and what the language model said after the last token of each.

    logits and negative (rows, vocab); hidden (rows, longest, embd), of the tokens just read; state,
    to go on from.
    """

    rows: Sequence[Row]
    logits: Array
    state: RewindableState
    negative: Array | None = None
    hidden: Array | None = None

    def part(self, indices: Sequence[int]) -> "Batch":
        """These rows alone; the state stays that of all. All rows in order cost nothing."""
        if list(indices) == list(range(len(self.rows))):
            return self

        def chosen(array: Array | None) -> Array | None:
            return None if array is None else array[list(indices)]

        rows = [self.rows[index] for index in indices]
        logits = self.logits[list(indices)]
        return Batch(rows, logits, self.state, chosen(self.negative), chosen(self.hidden))

    def select(self, indices: Sequence[int]) -> "Batch":
        """The batch of these rows: fewer, reordered or repeated."""
        return self.part(indices)._replace(state=self.state_of(indices))

    def state_of(self, indices: Sequence[int]) -> RewindableState:
        """The state of these rows."""
        if list(indices) == list(range(len(self.rows))):
            return self.state
        return self.state.select(indices)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One decoder's run: the request, the model, the processors.

    normalised: whether scores are log-probabilities, as `scoring.score` has it. note: who is told
    of each decision. source: who gives the logits, for errors.
    """

    request: Request
    model: LanguageModel
    processors: Mapping[str, Processor]
    normalised: bool = False
    note: Note | None = None
    source: str = "next_step"

    def prefill(self, rows: Sequence[Row], *, hidden: bool = False) -> Batch:
        """Read the prompts, and give the batch of these rows, which hold nothing else yet.

        hidden: whether the hidden states of all tokens are wanted.
        """
        prompts = self.request.rows
        reading = self.model(self.request.prompts, None, hidden=hidden)
        batch = self.batch(prompts, reading, width=None)
        return batch.select([row.prompt for row in rows])._replace(rows=rows)

    def read_on(
        self, batch: Batch, parents: Sequence[int], rows: Sequence[Row], *, hidden: bool = False
    ) -> Batch:
        """The batch of these rows, each of which is a row of `batch` with one more token.

        parents: which row of the batch, for each.
        """
        new = [row.tokens[-1:] for row in rows]
        reading = self.model(new, batch.state_of(parents), hidden=hidden)
        return self.batch(rows, reading, width=batch.logits.shape[1])

    def extend(self, batch: Batch, choices: Sequence[Choice]) -> Batch | None:
        """The next batch, of the rows that go on after these choices; None if none does."""
        going = [index for index, choice in enumerate(choices) if choice.stopped is None]
        if not going:
            return None
        return self.read_on(batch, going, [choices[index].row for index in going])

    def batch(self, rows: Sequence[Row], reading: Reading, *, width: int | None) -> Batch:
        """What the reading says after the last token of each row; raises as `checked` does."""
        negative = None if reading.negative is None else reading.negative[:, -1]
        batch = Batch(rows, reading.logits[:, -1], reading.state, negative, reading.hidden)
        return self.checked(batch, width=width)

    def checked(self, batch: Batch, *, width: int | None) -> Batch:
        """The batch, if its logits, and the negative ones, are floats (rows, width) without NaN.

        width: the columns of the step before, None at the first step, which shows the vocabulary
        where the caller did not know it.

        Raises SettingError for the wrong shape or kind, NonFiniteError for NaN, and at the first
        step what `check_vocabulary` raises.
        """
        for logits in (batch.logits, batch.negative):
            if logits is not None:
                check_columns(logits, self.request, batch.rows, width=width, source=self.source)
                width = logits.shape[1]
        return batch

    def scores(self, batch: Batch) -> Scores:
        """The scores of a batch, (rows, vocab) at each stage."""
        return score(
            batch.rows,
            batch.logits,
            self.processors,
            negative=batch.negative,
            guidance_scale=self.request.settings.guidance_scale,
            normalised=self.normalised,
        )

    def record(
        self,
        row: Row,
        scores: Scores,
        token: int | None,
        *,
        uniform: float | None = None,
        proposed: int | None = None,
    ) -> Choice:
        """The Choice of a token for the row, None where every token was ruled out; it is noted."""
        if token is None:
            choice = Choice(row, None, None, scores.final, "no_candidates")
        else:
            longer = row.followed_by(token)
            stopped = stop_reason(self.request, longer)
            choice = Choice(longer, token, scores.logprob(token), scores.final, stopped)
        if self.note is not None:
            self.note(
                Decision(
                    row=row.place,
                    step=len(row.new),
                    stages=scores.by_name,
                    token=token,
                    stopped=choice.stopped,
                    uniform=uniform,
                    proposed=proposed,
                )
            )
        return choice


def check_columns(
    logits: Array, request: Request, rows: Sequence[Row], *, width: int | None, source: str
) -> None:
    """Nothing, if the logits are floats (rows, width) without NaN: see `Run.checked`."""
    check_logits(logits, len(rows), source=source)
    size = request.vocab_size
    got = f"{source} gave logits of shape {np.shape(logits)} for {len(rows)} rows"
    if width is None:
        if size is not None and logits.shape[1] < size:
            raise SettingError(f"{got}, too narrow for a vocabulary of {size}; give its true size")
        check_vocabulary(request.prompts, request.settings, size or logits.shape[1])
    elif logits.shape[1] != width:
        raise SettingError(f"{got}, but {width} columns before; the vocabulary must not change")
    for row, of_row in zip(rows, logits, strict=True):
        if np.isnan(of_row).any():
            token = int(np.isnan(of_row).argmax())
            raise NonFiniteError(
                f"{source} gave NaN for token {token}, in row {row.prompt} at step {len(row.new)}; "
                "look for NaN or overflow in the weights"
            )
