"""Decoding one token a row and step: greedy decoding and multinomial sampling."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.consider import consider, last, of_row
from npgpt.decoding.generation import Generation
from npgpt.decoding.greedy import likeliest
from npgpt.decoding.ledger import Decision, StopReason
from npgpt.decoding.logits import checked
from npgpt.decoding.problem import Problem
from npgpt.decoding.processors.pipeline import pipeline
from npgpt.decoding.row import Row
from npgpt.decoding.sampling import draw
from npgpt.decoding.step import NextStep, selected
from npgpt.decoding.stopping import stop_reason
from npgpt.ops.softmax import log_softmax


class Choice(NamedTuple):
    """What one step decided for one row.

    row: its place in the result. token: the id appended, None where every token was ruled out, and
    logprob the model's own of it. scores (vocab,): what it was chosen by, valid until the next
    step. stopped: why the row ends here, None where it goes on.
    """

    row: int
    token: int | None
    logprob: float | None
    scores: Array
    stopped: StopReason | None


def steps(next_step: NextStep, problem: Problem) -> Iterator[list[Choice]]:
    """The run of `generate`, step by step: a Choice for each row that was still running.

    A row that has ended is taken out of the state, and no longer asked about.

    >>> from npgpt.decoding.problem import prepare
    >>> from npgpt.decoding.settings import Settings
    >>> from npgpt.decoding.step import Step
    >>> def next_step(rows, state):
    ...     return Step(np.zeros((len(rows), 2)), None, None)
    >>> [choice.token for (choice,) in steps(next_step, prepare([1], Settings(max_length=3)))]
    [0, 0]
    """
    processors = pipeline(problem.settings, vocab_size=problem.vocab_size)
    copies = problem.settings.num_return_sequences
    rows = [row for row in problem.rows for _ in range(copies)]
    step = checked(next_step(problem.prompts, None), problem, range(len(problem.prompts)))
    step = selected(step, [row.prompt for row in rows])
    places = list(range(len(rows)))
    while True:
        stages = consider(problem, processors, rows, step)
        each = enumerate(zip(places, rows, strict=True))
        choices = [
            choose(problem, place, row, of_row(stages, index)) for index, (place, row) in each
        ]
        yield choices
        going = [index for index, choice in enumerate(choices) if choice.stopped is None]
        if not going:
            return
        rows = [rows[index].followed_by(choices[index].token or 0) for index in going]
        places = [places[index] for index in going]
        step = selected(step, going)
        new = next_step([row.tokens[-1:] for row in rows], step.state)
        asked, done = [row.prompt for row in rows], len(rows[0].new)
        step = checked(new, problem, asked, done=done, width=step.logits.shape[1])


def choose(
    problem: Problem,
    place: int,
    row: Row,
    stages: Mapping[str, Array],
    *,
    proposed: int | None = None,
) -> Choice:
    """The token that greedy decoding or sampling appends to the row, from its scores' stages.

    stages: name -> scores (vocab,), as `consider` gives them. proposed: what a draft had guessed.
    """
    scores = last(stages)
    token: int | None = None
    uniform: float | None = None
    if scores.max() > -np.inf:
        if problem.uniforms is None:
            token = likeliest(scores)
        else:
            uniform = float(problem.uniforms[place, len(row.new)])
            token = draw(scores, uniform)
    return settle(problem, place, row, stages, token, uniform=uniform, proposed=proposed)


def settle(
    problem: Problem,
    place: int,
    row: Row,
    stages: Mapping[str, Array],
    token: int | None,
    *,
    uniform: float | None = None,
    proposed: int | None = None,
) -> Choice:
    """The Choice of a token for the row, None where every token was ruled out; it is noted."""
    logprob: float | None = None
    stopped: StopReason | None = "no_candidates"
    if token is not None:
        logprob = float(log_softmax(stages["model"].astype(np.float64))[token])
        stopped = stop_reason(problem, row.followed_by(token))
    if problem.note is not None:
        problem.note(
            Decision(
                row=place,
                step=len(row.new),
                stages=stages,
                token=token,
                stopped=stopped,
                uniform=uniform,
                proposed=proposed,
            )
        )
    return Choice(place, token, logprob, last(stages), stopped)


def gather(problem: Problem, decided: Iterable[list[Choice]]) -> Generation:
    """The Generation that the steps of a run add up to."""
    copies = problem.settings.num_return_sequences
    prompts = [place for place in range(len(problem.prompts)) for _ in range(copies)]
    count = len(prompts)
    sequences = [list(problem.prompts[place]) for place in prompts]
    logprobs: list[list[float]] = [[] for _ in range(count)]
    scores: list[list[Array]] = [[] for _ in range(count)]
    stopped: dict[int, StopReason] = {}
    for choice in (choice for choices in decided for choice in choices):
        if choice.token is not None and choice.logprob is not None:
            sequences[choice.row].append(choice.token)
            logprobs[choice.row].append(choice.logprob)
            if problem.settings.output_scores:
                scores[choice.row].append(choice.scores.copy())
        if choice.stopped is not None:
            stopped[choice.row] = choice.stopped
    return Generation(
        sequences=sequences,
        prompt_lengths=[len(problem.prompts[place]) for place in prompts],
        logprobs=logprobs,
        scores=scores if problem.settings.output_scores else None,
        stopped=[stopped[row] for row in range(count)],
        decoder=problem.decoder,
        prompts=prompts,
    )
