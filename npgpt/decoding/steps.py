"""Decoding one token a row and step: greedy decoding and multinomial sampling."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.generation import Generation, StopReason
from npgpt.decoding.greedy import likeliest
from npgpt.decoding.logits import checked_logits
from npgpt.decoding.problem import Problem
from npgpt.decoding.processors.pipeline import apply, pipeline
from npgpt.decoding.row import Row
from npgpt.decoding.sampling import draw
from npgpt.decoding.step import NextStep
from npgpt.decoding.stopping import stop_reason
from npgpt.ops.softmax import log_softmax


class Choice(NamedTuple):
    """What one step decided for one row.

    row: the prompt's place. token: the id appended, None where every token was ruled out, and
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
    sequences = [list(prompt) for prompt in problem.prompts]
    running = list(range(len(sequences)))
    width = None
    step = next_step(problem.prompts, None)
    while True:
        rows = [Row(sequences[place], len(problem.prompts[place])) for place in running]
        done = len(rows[0].new)
        logits = checked_logits(step.logits, problem, running, step=done, width=width)
        width = logits.shape[1]
        scores = apply(processors, rows, logits)
        each = zip(running, rows, logits, scores, strict=True)
        choices = [_choose(problem, *one) for one in each]
        yield choices
        for choice in choices:
            if choice.token is not None:
                sequences[choice.row].append(choice.token)
        going = [index for index, choice in enumerate(choices) if choice.stopped is None]
        if not going:
            return
        state = step.state if len(going) == len(running) else step.state.select(going)
        running = [running[index] for index in going]
        step = next_step([sequences[place][-1:] for place in running], state)


def gather(problem: Problem, decided: Iterable[list[Choice]]) -> Generation:
    """The Generation that the steps of a run add up to."""
    count = len(problem.prompts)
    sequences = [list(prompt) for prompt in problem.prompts]
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
        prompt_lengths=[len(prompt) for prompt in problem.prompts],
        logprobs=logprobs,
        scores=scores if problem.settings.output_scores else None,
        stopped=[stopped[row] for row in range(count)],
    )


def _choose(problem: Problem, place: int, row: Row, logits: Array, scores: Array) -> Choice:
    if scores.max() == -np.inf:
        return Choice(place, None, None, scores, "no_candidates")
    if problem.uniforms is None:
        token = likeliest(scores)
    else:
        token = draw(scores, problem.uniforms[place, len(row.new)])
    logprob = float(log_softmax(logits.astype(np.float64))[token])
    longer = Row([*row.tokens, token], row.prompt_length)
    stopped = stop_reason(problem, longer, limit=problem.limits[place])
    return Choice(place, token, logprob, scores, stopped)
