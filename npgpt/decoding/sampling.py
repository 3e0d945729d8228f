"""Greedy decoding and multinomial sampling: one token a row and step."""

from collections.abc import Iterator

from npgpt.decoding.run import Batch, Choice, Run


def greedy_or_sampling(run: Run) -> Iterator[list[Choice]]:
    """The run, step by step: a Choice for each row that was still running.

    The largest score is taken, among equals that of the lowest id; or, where the request has
    uniforms (rows, steps), `uniforms[r, j]` draws the j-th new token of row r from the softmax of
    its scores. A row that has ended is taken out of the state, and no longer asked about.

    >>> import numpy as np
    >>> from npgpt.decoding import Settings, Step, generate
    >>> def next_step(rows, state):
    ...     return Step(np.log([[0.5, 0.25, 0.25]] * len(rows)), None, None)
    >>> generate(next_step, [1], Settings(max_new_tokens=2)).new_tokens
    [[0, 0]]
    >>> settings = Settings(max_new_tokens=2, do_sample=True)
    >>> generate(next_step, [1], settings, uniforms=[[0.6, 0.1]]).new_tokens
    [[1, 0]]
    """
    batch: Batch | None = run.prefill(run.request.copies)
    while batch is not None:
        scores = run.scores(batch)
        choices = [run.pick(row, scores.row(at)) for at, row in enumerate(batch.rows)]
        yield choices
        batch = run.extend(batch, choices)
