"""Contrastive search: a likely token whose hidden state is unlike those of the text so far."""

from collections.abc import Iterator, Sequence

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.consider import consider, last, of_row
from npgpt.decoding.logits import checked
from npgpt.decoding.problem import Problem
from npgpt.decoding.processors.masks import likeliest
from npgpt.decoding.processors.pipeline import pipeline
from npgpt.decoding.reading import Read, Reading, last_step
from npgpt.decoding.row import Row
from npgpt.decoding.step import Step, selected
from npgpt.decoding.steps import Choice, settle
from npgpt.errors import NonFiniteError, SettingError
from npgpt.ops.softmax import softmax


def contrastive_search(read: Read, problem: Problem) -> Iterator[list[Choice]]:
    """The run, step by step: a Choice for each row that was still running.

    Of the k = top_k tokens v with the largest processed scores (equals by id) the one with the
    largest `contrast` is appended, p being the softmax of all processed scores; among equals the
    likelier one, then the lower id. A step reads all candidates of all rows at once, each once: the
    chosen one's logits, hidden state and state are those of the next step. A Choice's scores, and
    the stage "contrastive", are the contrasts, −∞ for other tokens.

    Raises SettingError where the model gives no hidden states.

    Source: Su et al. 2022, "A Contrastive Framework for Neural Text Generation", section 3.2.

    >>> from npgpt.decoding.one_by_one import one_by_one
    >>> from npgpt.decoding.problem import prepare
    >>> from npgpt.decoding.settings import Settings
    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> def next_step(rows, state):  # token 0 is likelier, but all look the same after themselves
    ...     return Step(np.array([[0.5, 0.0]]), np.eye(2)[[rows[0][-1]]], Nothing())
    >>> problem = prepare([0], Settings(penalty_alpha=0.5, top_k=2, max_length=2))
    >>> [(choice,)] = contrastive_search(one_by_one(next_step), problem)
    >>> choice.token, choice.scores.round(4)
    (1, array([-0.1888,  0.1888]))
    """
    processors = pipeline(problem.settings, vocab_size=problem.vocab_size)
    alpha, most = problem.settings.penalty_alpha or 0.0, problem.settings.top_k or 1
    rows, places = problem.rows, list(range(len(problem.prompts)))
    reading = read(problem.prompts, None)
    step = checked(last_step(reading), problem, places)
    texts = _directions(reading, rows, [len(row.tokens) for row in rows])
    while True:
        stages = consider(problem, processors, rows, step)
        found = [candidates(scores, most) for scores in last(stages)]
        ahead, looks = _ahead(read, problem, rows, found, step)
        choices, chosen, start = [], [], 0
        for index, ids in enumerate(found):
            stage, theirs = of_row(stages, index), looks[start : start + len(ids)]
            scores = np.full(step.logits.shape[1], -np.inf)
            if ids:
                likely = softmax(last(stage).astype(np.float64))[ids]
                scores[ids] = contrast(likely, np.concatenate(theirs), texts[index], alpha=alpha)
            best = int(scores[ids].argmax()) if ids else None  # the first of equals: the likelier
            token = None if best is None else ids[best]
            stage |= {"contrastive": scores}
            choices.append(settle(problem, places[index], rows[index], stage, token))
            chosen.append(start + (best or 0))
            start += len(ids)
        yield choices
        going = [index for index, choice in enumerate(choices) if choice.stopped is None]
        if not going:
            return
        step = selected(ahead, [chosen[index] for index in going])
        texts = [np.concatenate([texts[index], looks[chosen[index]]]) for index in going]
        rows = [rows[index].followed_by(choices[index].token or 0) for index in going]
        places = [places[index] for index in going]


def contrast(likely: Array, looks: Array, text: Array, *, alpha: float) -> Array:
    """`(1 − α) p(v) − α max_j cos(h_v, h_j)` for each candidate v: (k,), float64.

    likely (k,): p(v); looks (k, embd) and text (tokens, embd): the `directions` of the candidates'
    hidden states and of those of all tokens before them, j.

    >>> text = directions(np.array([[2.0, 0.0]]))
    >>> looks = directions(np.array([[1.0, 0.0], [3.0, 4.0]]))
    >>> contrast(np.array([0.9, 0.1]), looks, text, alpha=0.5).round(4)
    array([-0.05, -0.25])
    """
    # One product for each candidate, so that equal candidates are equal to the last bit.
    alike = np.array([(text @ look).max() for look in looks])
    weighed: Array = (1 - alpha) * likely - alpha * alike
    return weighed


def directions(hidden: Array) -> Array:
    """`h / |h|`: (..., embd) -> (..., embd), float64; a zero vector stays zero, at cosine 0 to all.

    >>> directions(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    wide = hidden.astype(np.float64)
    top = np.abs(wide).max(axis=-1, keepdims=True)
    scaled = wide / np.where(top > 0, top, 1.0)  # the squares neither overflow nor vanish
    length = np.sqrt((scaled * scaled).sum(axis=-1, keepdims=True))
    result: Array = scaled / np.where(length > 0, length, 1.0)
    return result


def candidates(scores: Array, count: int) -> list[int]:
    """The ids of the `count` largest scores (vocab,) above −∞, the largest first, equals by id.

    >>> candidates(np.array([1.0, 3.0, 1.0, -np.inf]), 2), candidates(np.array([-np.inf]), 2)
    ([1, 0], [])
    """
    ids = np.flatnonzero(likeliest(scores[None], count)[0] & (scores > -np.inf))
    return [int(token) for token in ids[np.argsort(-scores[ids], kind="stable")]]


def _ahead(
    read: Read, problem: Problem, rows: Sequence[Row], found: Sequence[Sequence[int]], step: Step
) -> tuple[Step, list[Array]]:
    """The step after each candidate of each row, and each one's direction (1, embd)."""
    owners = [index for index, ids in enumerate(found) for _ in ids]
    if not owners:
        return step, []
    new = [[token] for ids in found for token in ids]
    reading = read(new, step.state.select(owners))
    asked, done = [rows[index].prompt for index in owners], len(rows[0].new) + 1
    ahead = checked(last_step(reading), problem, asked, done=done, width=step.logits.shape[1])
    return ahead, _directions(reading, [rows[index] for index in owners], [1] * len(owners))


def _directions(reading: Reading, rows: Sequence[Row], counts: Sequence[int]) -> list[Array]:
    """For each row the directions of its last counts[r] tokens: (counts[r], embd)."""
    hidden = reading.hidden
    if hidden is None:
        raise SettingError(
            "penalty_alpha asks for contrastive search, but next_step gave no hidden states "
            "(hidden is None); let its Step hold them, or leave penalty_alpha out"
        )
    if hidden.ndim != 3 or hidden.shape[:2] != (len(rows), max(counts)):
        raise SettingError(
            f"next_step gave hidden states of shape {hidden.shape} for {len(rows)} rows of up to "
            f"{max(counts)} tokens; it must give one vector for each row"
        )
    vectors = [hidden[index, -count:] for index, count in enumerate(counts)]
    for row, theirs in zip(rows, vectors, strict=True):
        if not np.isfinite(theirs).all():
            raise NonFiniteError(
                f"a hidden state in row {row.prompt} at step {len(row.new)} is not finite; look "
                "for NaN or overflow in the weights"
            )
    return [directions(theirs) for theirs in vectors]
