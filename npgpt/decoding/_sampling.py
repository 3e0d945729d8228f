"""Greedy decoding and multinomial sampling: one token a row and step."""

from collections.abc import Iterator

import numpy as np

from npgpt._arrays import Array
from npgpt.decoding._run import Batch, Choice, Run
from npgpt.decoding._scoring import Row, Scores, relative_probabilities


def greedy_or_sampling(run: Run) -> Iterator[list[Choice]]:
    """The run, step by step: a Choice for each row that was still running.

    The largest score is taken, among equals that of the lowest id; or, where the request has
    uniforms (rows, steps), `uniforms[r, j]` draws the j-th new token of row r from the softmax of
    its scores. A row that has ended is taken out of the state, and no longer asked about.

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
        choices = [choose(run, row, scores.row(at)) for at, row in enumerate(batch.rows)]
        yield choices
        batch = run.extend(batch, choices)


def choose(run: Run, row: Row, scores: Scores, *, proposed: int | None = None) -> Choice:
    """The token that greedy decoding or sampling appends to the row, from its scores.

    proposed: what a draft had guessed.
    """
    token: int | None = None
    uniform: float | None = None
    if scores.final.max() > -np.inf:
        if run.request.uniforms is None:
            token = argmax(scores.final)
        else:
            uniform = float(run.request.uniforms[row.place, len(row.new)])
            token = draw(scores.final, uniform)
    return run.record(row, scores, token, uniform=uniform, proposed=proposed)


def argmax(scores: Array) -> int:
    """Greedy decoding: `argmaxᵢ zᵢ` of scores (vocab,); among equals the lowest id.

    >>> argmax(np.array([1.0, 3.0, 3.0]))
    1
    """
    return int(scores.argmax())


def draw(scores: Array, uniform: float) -> int:
    """Sampling by inverse CDF: the token whose share of [0, 1) holds u, `min{i : p₀ + … + pᵢ > u}`.

    scores (vocab,), of which at least one is above −inf, stand for `p = softmax(scores)`. Shares
    lie in order of token id and are summed in float64, so the same uniform gives the same token
    everywhere. A token of probability 0 has no share and is never drawn.

    Source: Devroye 1986, "Non-Uniform Random Variate Generation", III.2.

    >>> scores = np.log(np.array([0.5, 0.25, 0.25]))
    >>> [draw(scores, u) for u in (0.0, 0.49, 0.6, 0.9)]
    [0, 0, 1, 2]
    """
    cumulative = np.cumsum(relative_probabilities(scores))
    # The last share ends at 1 exactly, above every uniform.
    return int(np.searchsorted(cumulative / cumulative[-1], uniform, side="right"))
