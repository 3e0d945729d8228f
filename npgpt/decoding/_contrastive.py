"""Contrastive search: a likely token whose hidden state is unlike those of the text so far."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from npgpt._arrays import Array
from npgpt.decoding._processors import masks
from npgpt.decoding._request import needed
from npgpt.decoding._run import Batch, Choice, Run
from npgpt.decoding._scoring import CONTRASTIVE, Row, Scores
from npgpt.errors import NonFiniteError, SettingError
from npgpt.ops._softmax import softmax


def contrastive_search(run: Run) -> Iterator[list[Choice]]:
    """The run, step by step: a Choice for each row that was still running.

    Of the k = top_k tokens v with the largest processed scores (equals by id) the one with the
    largest `contrast` is appended, p being the softmax of all processed scores; among equals the
    likelier one, then the lower id. A step reads all candidates of all rows at once, each once: the
    chosen one's logits, hidden state and state are those of the next step. A Choice's scores, and
    the stage "contrastive", are the contrasts, −∞ for other tokens.

    Raises SettingError where the model gives no hidden states.

    Source: Su et al. 2022, "A Contrastive Framework for Neural Text Generation", section 3.2.

    >>> from npgpt.decoding import Settings, Step, generate
    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> def next_step(rows, state):  # token 0 is likelier, but all look the same after themselves
    ...     return Step(np.array([[0.5, 0.0]]), np.eye(2)[[rows[0][-1]]], Nothing())
    >>> settings = Settings(penalty_alpha=0.5, top_k=2, max_length=2, output_scores=True)
    >>> found = generate(next_step, [0], settings)
    >>> found.new_tokens, found.scores[0][0].round(4)
    ([[1]], array([-0.1888,  0.1888]))
    """
    settings, rows = run.request.settings, run.request.rows
    alpha = needed(settings.penalty_alpha, "penalty_alpha")
    most = needed(settings.top_k, "top_k")
    batch = run.prefill(rows, hidden=True)
    texts = _directions(batch, rows, [len(row.tokens) for row in rows])
    while True:
        scores = run.scores(batch)
        ahead, candidates = _read_ahead(run, batch, [top_tokens(z, most) for z in scores.final])
        choices: list[Choice] = []
        going: list[tuple[Candidate, Array]] = []  # how a row goes on, and its text's directions
        for index, (row, text) in enumerate(zip(batch.rows, texts, strict=True)):
            of_row = scores.row(index)
            contrasts = _contrasts(of_row, candidates[index], text, alpha=alpha)
            best = _best(candidates[index], contrasts)
            token = None if best is None else best.token
            choice = run.record(row, of_row.then(CONTRASTIVE, contrasts), token)
            choices.append(choice)
            if best is not None and choice.stopped is None:
                going.append((best, np.concatenate([text, best.direction])))
        yield choices
        if not going:
            return
        batch = ahead.select([candidate.place for candidate, _ in going])
        texts = [text for _, text in going]


class Candidate(NamedTuple):
    """A token that may follow a row, after the model has read it there.

    place: its row in the batch that was read ahead; direction (1, embd): that of its hidden state.
    """

    token: int
    place: int
    direction: Array


def contrast(probabilities: Array, candidates: Array, text: Array, *, alpha: float) -> Array:
    """`(1 − α) p(v) − α max_j cos(h_v, h_j)` for each candidate v: (k,), float64.

    probabilities (k,): p(v); candidates (k, embd) and text (tokens, embd): the `directions` of the
    candidates' hidden states and of those of all tokens before them, j.

    >>> text = directions(np.array([[2.0, 0.0]]))
    >>> candidates = directions(np.array([[1.0, 0.0], [3.0, 4.0]]))
    >>> contrast(np.array([0.9, 0.1]), candidates, text, alpha=0.5).round(4)
    array([-0.05, -0.25])
    """
    # One product for each candidate, so that equal candidates are equal to the last bit.
    similarities = np.array([(text @ candidate).max() for candidate in candidates])
    contrasts: Array = (1 - alpha) * probabilities - alpha * similarities
    return contrasts


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


def top_tokens(scores: Array, count: int) -> list[int]:
    """The ids of the `count` largest scores (vocab,) above −∞, the largest first, equals by id.

    >>> top_tokens(np.array([1.0, 3.0, 1.0, -np.inf]), 2), top_tokens(np.array([-np.inf]), 2)
    ([1, 0], [])
    """
    ids = np.flatnonzero(masks.top_mask(scores[None], count)[0] & (scores > -np.inf))
    return [int(token) for token in ids[np.argsort(-scores[ids], kind="stable")]]


def _contrasts(
    scores: Scores, candidates: Sequence[Candidate], text: Array, *, alpha: float
) -> Array:
    """The `contrast` of each candidate of a row as scores (vocab,), −∞ for other tokens."""
    contrasts = np.full(scores.final.shape, -np.inf)
    if candidates:
        tokens = [candidate.token for candidate in candidates]
        likely = softmax(scores.final.astype(np.float64))[tokens]
        vectors = np.concatenate([candidate.direction for candidate in candidates])
        contrasts[tokens] = contrast(likely, vectors, text, alpha=alpha)
    return contrasts


def _best(candidates: Sequence[Candidate], contrasts: Array) -> Candidate | None:
    """The one of the largest contrast, among equals the first; None where there is none at all."""
    return max(candidates, key=lambda candidate: float(contrasts[candidate.token]), default=None)


def _read_ahead(
    run: Run, batch: Batch, tokens: Sequence[Sequence[int]]
) -> tuple[Batch, list[list[Candidate]]]:
    """The batch of all rows with each of their tokens, and those as candidates, row by row."""
    pairs = [(index, token) for index, ids in enumerate(tokens) for token in ids]
    if not pairs:
        return batch, [[] for _ in tokens]
    parents = [index for index, _ in pairs]
    longer = [batch.rows[index].followed_by(token) for index, token in pairs]
    ahead = run.read_on(batch, parents, longer, hidden=True)
    vectors = iter(_directions(ahead, [batch.rows[index] for index in parents], [1] * len(pairs)))
    read = iter([Candidate(token, at, next(vectors)) for at, (_, token) in enumerate(pairs)])
    return ahead, [[next(read) for _ in ids] for ids in tokens]


def _directions(batch: Batch, rows: Sequence[Row], counts: Sequence[int]) -> list[Array]:
    """For each row the directions of the last counts[r] tokens just read: (counts[r], embd).

    rows: as they were before, for errors.
    """
    hidden = batch.hidden
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
    for row, vector in zip(rows, vectors, strict=True):
        if not np.isfinite(vector).all():
            raise NonFiniteError(
                f"a hidden state in row {row.prompt} at step {len(row.new)} is not finite; look "
                "for NaN or overflow in the weights"
            )
    return [directions(vector) for vector in vectors]
