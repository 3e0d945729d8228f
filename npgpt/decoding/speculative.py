"""Speculative decoding: several tokens are guessed, and read by the model all at once."""

from collections.abc import Iterator, Mapping, Sequence

from npgpt.decoding.consider import consider, of_row
from npgpt.decoding.draft import Proposer, draft_of
from npgpt.decoding.logits import checked
from npgpt.decoding.problem import Problem
from npgpt.decoding.processors.pipeline import Processor, pipeline
from npgpt.decoding.prompt_lookup import Lookup
from npgpt.decoding.reading import Read, Reading, Undoable, last_step
from npgpt.decoding.row import Row
from npgpt.decoding.step import Step
from npgpt.decoding.steps import Choice, choose


def speculative_decoding(read: Read, problem: Problem) -> Iterator[list[Choice]]:
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
    >>> from npgpt.decoding.one_by_one import one_by_one
    >>> from npgpt.decoding.problem import prepare
    >>> from npgpt.decoding.settings import Settings
    >>> def next_step(rows, state):  # after token t comes t + 1
    ...     return Step(np.eye(9)[[row[-1] + 1 for row in rows]], None, None)
    >>> model = one_by_one(next_step)
    >>> problem = prepare([0], Settings(num_assistant_tokens=2, max_length=6), assistant=model)
    >>> for choices in speculative_decoding(model, problem):
    ...     print([choice.token for choice in choices])
    [1]
    [2, 3, 4]
    [5]
    """
    processors = pipeline(problem.settings, vocab_size=problem.vocab_size)
    copies = problem.settings.num_return_sequences
    rows = [row for row in problem.rows for _ in range(copies)]
    places = list(range(len(rows)))
    reading = read(problem.prompts, None)
    first = checked(last_step(reading), problem, range(len(problem.prompts)))
    width = first.logits.shape[1]
    state = _kept(reading.state, len(problem.prompts), [row.prompt for row in rows])
    said = [_said(reading, row.prompt, 1) for row in rows]
    proposals: list[list[int]] = [[] for _ in rows]
    proposer: Proposer | None = None
    while True:
        each = zip(places, rows, said, proposals, strict=True)
        decided = [_decided(problem, processors, width, *one) for one in each]
        yield [choice for choices in decided for choice in choices]
        going = [index for index, choices in enumerate(decided) if choices[-1].stopped is None]
        if not going:
            return
        state = _kept(state, len(rows), going)
        vain = [len(proposals[index]) - (len(decided[index]) - 1) for index in going]
        state = state.drop(vain) if any(vain) else state
        rows = [_followed(rows[index], decided[index]) for index in going]
        places = [places[index] for index in going]
        proposer = _proposer(problem, rows, width) if proposer is None else proposer.of(going)
        proposals, proposer = proposer.propose(places, rows)
        new = [[row.tokens[-1], *more] for row, more in zip(rows, proposals, strict=True)]
        reading = read(new, state, keep=max(map(len, new)))
        state = reading.state
        said = [_said(reading, index, len(ids)) for index, ids in enumerate(new)]


def _proposer(problem: Problem, rows: Sequence[Row], width: int) -> Proposer:
    if problem.assistant is None:
        return Lookup(problem)
    return draft_of(problem, problem.assistant, rows, width=width)


def _said(reading: Reading, row: int, count: int) -> Step:
    """What a reading says after the last tokens of a row: logits (count, vocab)."""
    negative = None if reading.negative is None else reading.negative[row, -count:]
    return Step(reading.logits[row, -count:], None, reading.state, negative)


def _kept(state: Undoable, count: int, rows: Sequence[int]) -> Undoable:
    return state if list(rows) == list(range(count)) else state.select(rows)


def _decided(
    problem: Problem,
    processors: Mapping[str, Processor],
    width: int,
    place: int,
    row: Row,
    said: Step,
    proposal: Sequence[int],
) -> list[Choice]:
    """One row's tokens of a round: those proposed that are right, then one of the model's own.

    said: the logits (proposal + 1, vocab) after the row, and after each token proposed. Those after
    the first wrong one are not looked at.
    """
    choices: list[Choice] = []
    for index, proposed in enumerate((*proposal, None)):
        part = slice(index, index + 1)
        negative = None if said.negative is None else said.negative[part]
        one = said._replace(logits=said.logits[part], negative=negative)
        step = checked(one, problem, [row.prompt], done=len(row.new), width=width)
        stages = consider(problem, processors, [row], step)
        choices.append(choose(problem, place, row, of_row(stages, 0), proposed=proposed))
        row = _followed(row, choices[-1:])
        if choices[-1].token != proposed:  # which is where a row ends: no proposal does that
            break
    return choices


def _followed(row: Row, choices: Sequence[Choice]) -> Row:
    new = [choice.token for choice in choices if choice.token is not None]
    return row._replace(tokens=[*row.tokens, *new])
