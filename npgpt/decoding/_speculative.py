"""Speculative decoding: several tokens are guessed, and read by the model all at once.

They are guessed by a draft model (`DraftModel`), or looked up in the text (`PromptLookup`). A
proposal never holds a token that would end its row: what comes after it is not looked at, so it
need not be read.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from npgpt.decoding._language_model import LanguageModel, Reading, RewindableState
from npgpt.decoding._request import Request, needed, stop_reason
from npgpt.decoding._run import Batch, Choice, Run
from npgpt.decoding._sampling import choose
from npgpt.decoding._scoring import Row


def speculative_decoding(run: Run) -> Iterator[list[Choice]]:
    """The run, round by round: for each row that was still running one Choice or more, in order.

    A draft proposes tokens d₁ … dₙ after each row. The model reads those of all rows in one go and
    decides each place as greedy decoding or sampling would, with the same processors and the same
    uniform. While it decides as proposed, the next place follows; its own token at the first
    difference, or after dₙ, ends the round. What was proposed in vain is dropped from the state.

    So the tokens are those of plain decoding, not only their distribution, which is what drawing
    anew from the difference of the two distributions keeps (Leviathan et al. 2023): the same
    uniforms give the same text whatever the draft. The price is in the number of tokens accepted.
    With the model's distribution p and the draft's q, cumulated P and Q in order of id, a proposal
    is accepted with probability `Σᵢ |[Pᵢ₋₁, Pᵢ) ∩ [Qᵢ₋₁, Qᵢ)|`, at most their `Σᵢ min(pᵢ, qᵢ)`.
    It can be far less: where p gives 1/n to each of n tokens, and q the last one's share to the
    first, it is 1/n, and theirs is 1 − 1/n.

    A model whose logits depend, in rounding, on how many tokens it reads at once may decide a
    near-tie otherwise than it would one by one.

    Source: Leviathan, Kalman, Matias 2023, "Fast Inference from Transformers via Speculative
    Decoding", section 2; the coupling by uniforms: Devroye 1986, "Non-Uniform Random Variate
    Generation", III.2.

    >>> import numpy as np
    >>> from npgpt.decoding import Settings, Step
    >>> from npgpt.decoding._decoders import prepare, start
    >>> from npgpt.decoding._language_model import one_by_one
    >>> def next_step(rows, state):  # after token t comes t + 1
    ...     return Step(np.eye(9)[[row[-1] + 1 for row in rows]], None, None)
    >>> model = one_by_one(next_step)
    >>> request = prepare([0], Settings(num_assistant_tokens=2, max_length=6), assistant=model)
    >>> for choices in speculative_decoding(start(request, model)):
    ...     print([choice.token for choice in choices])
    [1]
    [2, 3, 4]
    [5]
    """
    batch = run.prefill(run.request.copies)
    width, state = batch.logits.shape[1], batch.state
    # Of each row the batch of its positions: the row, then the row with each token proposed.
    positions = [batch.part([index]) for index in range(len(batch.rows))]
    draft: Proposer | None = None
    while True:
        decided = [_verified(run, of_row, width=width) for of_row in positions]
        yield [choice for choices in decided for choice in choices]
        going = [index for index, choices in enumerate(decided) if choices[-1].stopped is None]
        if not going:
            return
        rows = [decided[index][-1].row for index in going]
        rejected = [len(positions[index].rows) - len(decided[index]) for index in going]
        state = state if len(going) == len(positions) else state.select(going)
        state = state.rewind(rejected) if any(rejected) else state
        draft = proposer(run, rows, width=width) if draft is None else draft.select(going)
        proposals, draft = draft.propose(rows)
        new = [[row.tokens[-1], *more] for row, more in zip(rows, proposals, strict=True)]
        reading = run.model(new, state, keep=max(map(len, new)), hidden=False)
        state = reading.state
        triples = enumerate(zip(rows, proposals, strict=True))
        positions = [_positions(reading, index, row, more) for index, (row, more) in triples]


def _positions(reading: Reading, index: int, row: Row, proposal: Sequence[int]) -> Batch:
    """The row, and the row with each token proposed, with what the reading says after each."""
    rows = [row]
    for token in proposal:
        rows.append(rows[-1].followed_by(token))
    negative = None if reading.negative is None else reading.negative[index, -len(rows) :]
    return Batch(rows, reading.logits[index, -len(rows) :], reading.state, negative)


def _verified(run: Run, positions: Batch, *, width: int) -> list[Choice]:
    """One row's tokens of a round: those proposed that are right, then one of the model's own.

    What the model said after the first wrong one is not looked at.
    """
    choices: list[Choice] = []
    proposals = (*(row.tokens[-1] for row in positions.rows[1:]), None)
    for index, proposed in enumerate(proposals):
        batch = run.checked(positions.part([index]), width=width)
        choices.append(choose(run, batch.rows[0], run.scores(batch).row(0), proposed=proposed))
        if choices[-1].token != proposed:  # which is where a row ends: no proposal does that
            break
    return choices


class Proposer(Protocol):
    """A value: what it proposes for the running rows, and how it goes on from there."""

    def select(self, rows: Sequence[int]) -> "Proposer":
        """The proposer of these rows alone, by their index."""
        ...

    def propose(self, rows: Sequence[Row]) -> tuple[list[list[int]], "Proposer"]:
        """Tokens that may follow each row, none or several."""
        ...


def proposer(run: Run, rows: Sequence[Row], *, width: int) -> Proposer:
    """The draft model of the request for these rows, or where it has none, prompt lookup.

    width: the columns of the model's logits.
    """
    if run.request.assistant is None:
        return PromptLookup(run.request)
    return draft_model(run, run.request.assistant, rows, width=width)


@dataclass(frozen=True)
class DraftModel:
    """A draft model, which decides as the model does: same settings, processors and uniforms.

    state and history: what it has read of each running row. width: the columns that its logits must
    have, None where any that hold the vocabulary will do.
    """

    run: Run
    state: RewindableState
    history: tuple[tuple[int, ...], ...]
    width: int | None

    def select(self, rows: Sequence[int]) -> "DraftModel":
        """The draft of these rows: fewer, reordered or repeated."""
        if list(rows) == list(range(len(self.history))):
            return self
        history = tuple(self.history[row] for row in rows)
        return dataclasses.replace(self, state=self.state.select(rows), history=history)

    def propose(self, rows: Sequence[Row]) -> tuple[list[list[int]], "DraftModel"]:
        """What `Proposer.propose` says, after forgetting what it had read and is not in the rows.

        No token is read twice. Rows that have no more to propose wait for the others.
        """
        draft, ahead = self._rewound(rows), list(rows)
        going = [index for index, row in enumerate(rows) if self._may_guess(row, row)]
        while going:
            reading, draft = draft._read_on(ahead, going)
            for index in going:
                ahead[index] = self._followed(ahead[index], reading, index)
            going = [
                index
                for index in going
                if len(ahead[index].tokens) > len(draft.history[index])
                and self._may_guess(ahead[index], rows[index])
            ]
        pairs = zip(ahead, rows, strict=True)
        return [list(row.tokens[len(old.tokens) :]) for row, old in pairs], draft

    def _rewound(self, rows: Sequence[Row]) -> "DraftModel":
        """The draft as it was before it read the first token that is not in the rows."""
        pairs = zip(self.history, rows, strict=True)
        kept = tuple(tokens[: _common(tokens, row.tokens)] for tokens, row in pairs)
        counts = [len(old) - len(new) for old, new in zip(self.history, kept, strict=True)]
        state = self.state.rewind(counts) if any(counts) else self.state
        return dataclasses.replace(self, state=state, history=kept)

    def _may_guess(self, row: Row, start: Row) -> bool:
        """Whether a token after this one can be of use: one that fills the row cannot."""
        guessed = len(row.tokens) - len(start.tokens)
        most = self.run.request.settings.num_assistant_tokens
        return guessed < most and len(row.tokens) + 1 < row.limit

    def _read_on(self, rows: Sequence[Row], going: Sequence[int]) -> tuple[Reading, "DraftModel"]:
        """The reading of these rows, in so far as they are going."""
        pairs = enumerate(zip(rows, self.history, strict=True))
        new = [tuple(row.tokens[len(old) :]) if i in going else () for i, (row, old) in pairs]
        reading = self.run.model(new, self.state, hidden=False)
        history = tuple((*old, *more) for old, more in zip(self.history, new, strict=True))
        return reading, dataclasses.replace(self, state=reading.state, history=history)

    def _followed(self, row: Row, reading: Reading, index: int) -> Row:
        """The row with the token that the draft decides on; the row as it is, if that ends it."""
        part = slice(index, index + 1)
        negative = None if reading.negative is None else reading.negative[part, -1]
        batch = Batch([row], reading.logits[part, -1], reading.state, negative)
        scores = self.run.scores(self.run.checked(batch, width=self.width))
        choice = choose(self.run, row, scores.row(0))
        return choice.row if choice.stopped is None else row


def draft_model(run: Run, model: LanguageModel, rows: Sequence[Row], *, width: int) -> DraftModel:
    """The draft model once it has read the prompts of these rows; width: the model's columns."""
    state = model(run.request.prompts, None, hidden=False).state
    return DraftModel(
        dataclasses.replace(run, model=model, note=None, source="the assistant"),
        state.select([row.prompt for row in rows]),
        history=tuple(tuple(row.tokens[: row.prompt_length]) for row in rows),
        width=width if run.request.vocab_size is None else None,
    )


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens are the same."""
    same = (a == b for a, b in zip(one, other, strict=False))
    return next((count for count, equal in enumerate(same) if not equal), len(one))


@dataclass(frozen=True)
class PromptLookup:
    """Proposes by `prompt_lookup`, until the first token that would end the row."""

    request: Request

    def select(self, rows: Sequence[int]) -> "PromptLookup":
        """Itself, which remembers nothing."""
        return self

    def propose(self, rows: Sequence[Row]) -> tuple[list[list[int]], "PromptLookup"]:
        """What `Proposer.propose` says.

        >>> from npgpt.decoding._decoders import Settings, prepare
        >>> settings = Settings(prompt_lookup_num_tokens=3, eos_token_id=4, max_length=9)
        >>> request = prepare([1, 2, 3, 4, 1], settings)
        >>> PromptLookup(request).propose(request.rows)[0]
        [[2, 3]]
        """
        return [self._of_row(row) for row in rows], self

    def _of_row(self, row: Row) -> list[int]:
        settings, proposal = self.request.settings, list[int]()
        most = needed(settings.prompt_lookup_num_tokens, "prompt_lookup_num_tokens")
        longest = settings.max_matching_ngram_size
        for token in prompt_lookup(row.tokens, most, longest=longest):
            row = row.followed_by(token)
            if stop_reason(self.request, row) is not None:
                break
            proposal.append(token)
        return proposal


def prompt_lookup(tokens: Sequence[int], count: int, *, longest: int) -> list[int]:
    """Up to `count` tokens that followed an earlier occurrence of the row's last tokens.

    With n = longest, n − 1, … 1: where the last n tokens also occur earlier (an occurrence may
    overlap them), what follows the leftmost occurrence; where no n finds one, nothing.

    Source: Saxena 2023, "Prompt Lookup Decoding".

    >>> prompt_lookup([1, 2, 3, 4, 9, 2, 3], 2, longest=2)
    [4, 9]
    >>> prompt_lookup([1, 2, 3], 2, longest=2)
    []
    """
    row = list(tokens)
    for size in range(min(longest, len(row) - 1), 0, -1):
        ending = row[-size:]
        for start in range(len(row) - size):
            if row[start : start + size] == ending:
                return row[start + size : start + size + count]
    return []
