"""Scoring: rows of tokens, the scores that logits become, and the probabilities they stand for.

First guidance, where it is asked for, then the processors; what each of them made of the scores is
kept as a stage. A token is chosen by the last.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeAlias

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt.ops._softmax import log_softmax

# Token ids of several rows, each as long as it is.
Rows: TypeAlias = tuple[tuple[int, ...], ...]
# Stages that are no processor's
MODEL, LOG_SOFTMAX, GUIDANCE, CONTRASTIVE = "model", "log_softmax", "guidance_scale", "contrastive"
# Stages whose scores are not logarithms up to a constant, so that their softmax means nothing
NOT_LOGARITHMS = frozenset({CONTRASTIVE})


class Row(NamedTuple):
    """The tokens of one row so far, and how many of them are the prompt.

    prompt: the place of its prompt among the prompts; limit: the most tokens that it may have;
    place: its own among the rows of the result.

    >>> Row([5, 6, 7], prompt_length=2).new
    [7]
    """

    tokens: Sequence[int]
    prompt_length: int
    prompt: int = 0
    limit: int = sys.maxsize
    place: int = 0

    @property
    def new(self) -> Sequence[int]:
        """The tokens that were generated."""
        return self.tokens[self.prompt_length :]

    def followed_by(self, token: int) -> "Row":
        """The row with one more token.

        >>> Row([5], prompt_length=1).followed_by(6).tokens
        [5, 6]
        """
        return self._replace(tokens=[*self.tokens, token])


# (rows, scores (rows, vocab)) -> scores (rows, vocab), without writing to what it is given
Processor: TypeAlias = Callable[[Sequence[Row], Array], Array]


class Stage(NamedTuple):
    """The scores, (rows, vocab) or of one row (vocab,), that a step of the way has made."""

    name: str
    scores: Array


class Scores(NamedTuple):
    """The stages of scores in their order: the model's logits first, those to choose by last."""

    stages: tuple[Stage, ...]

    @property
    def logits(self) -> Array:
        """The model's own."""
        return self.stages[0].scores

    @property
    def final(self) -> Array:
        """Those to choose by."""
        return self.stages[-1].scores

    @property
    def by_name(self) -> dict[str, Array]:
        """The scores of each stage, in their order."""
        return dict(self.stages)

    def row(self, index: int) -> "Scores":
        """The scores (vocab,) of one row."""
        return Scores(tuple(Stage(name, scores[index]) for name, scores in self.stages))

    def parts(self, lengths: Sequence[int]) -> list["Scores"]:
        """Consecutive rows, so many in each part.

        >>> scores = Scores((Stage("model", np.zeros((3, 2))),))
        >>> [part.final.shape for part in scores.parts([1, 0, 2])]
        [(1, 2), (0, 2), (2, 2)]
        """
        spans = zip([0, *accumulate(lengths)], accumulate(lengths), strict=False)
        slices = [slice(start, stop) for start, stop in spans]
        return [Scores(tuple(Stage(name, s[part]) for name, s in self.stages)) for part in slices]

    def then(self, name: str, scores: Array) -> "Scores":
        """With one more stage."""
        return Scores((*self.stages, Stage(name, scores)))

    def logprob(self, token: int) -> float:
        """The model's own log-probability of a token, float64; of the scores of one row."""
        logprobs = self.by_name.get(LOG_SOFTMAX)
        if logprobs is None:
            logprobs = log_softmax(self.logits.astype(np.float64))
        return float(logprobs[token])


def score(
    rows: Sequence[Row],
    logits: Array,
    processors: Mapping[str, Processor],
    *,
    negative: Array | None = None,
    guidance_scale: float = 1.0,
    normalised: bool = False,
) -> Scores:
    """The scores that logits (rows, vocab) become, stage by stage.

    The processors act on the logits, or, where `normalised`, on their log-softmax in float64: sums
    of scores over several tokens, as beams have them, need log-probabilities. A processor that
    gives back the very array that it got has no stage. negative: the logits after the negative
    prompt, for `guidance`.

    >>> score([Row([0], 1)], np.zeros((1, 2)), {"halved": lambda rows, s: s / 2}).by_name
    {'model': array([[0., 0.]]), 'halved': array([[0., 0.]])}
    """
    scores = Scores((Stage(MODEL, logits),))
    if normalised:
        scores = scores.then(LOG_SOFTMAX, log_softmax(logits.astype(np.float64)))
    if negative is not None:
        scores = scores.then(GUIDANCE, guidance(logits, negative, scale=guidance_scale))
    for name, process in processors.items():
        processed = process(rows, scores.final)
        if processed is not scores.final:
            scores = scores.then(name, processed)
    return scores


def guidance(logits: Array, negative: Array, *, scale: float) -> Array:
    """`log p⁻ + γ (log p − log p⁻)`, p = softmax(logits), p⁻ = softmax(negative), γ the scale.

    (rows, vocab) each -> (rows, vocab), float64. γ = 1 is log p; above 1 it moves away from p⁻.
    What p rules out stays ruled out; of what p⁻ alone rules out, γ log p is left.

    Source: Sanchez et al. 2023, "Stay on topic with Classifier-Free Guidance", equation 7.

    >>> guidance(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]]), scale=2.0).round(4)
    array([[ 0.    , -1.0986]])
    """
    likely = log_softmax(logits.astype(np.float64))
    against = log_softmax(negative.astype(np.float64))
    against = np.where(np.isneginf(against), 0, against)
    with quiet():
        guided: Array = scale * likely + (1 - scale) * against
    return np.where(np.isneginf(likely), likely, guided)


def gaps(scores: Array) -> Array:
    """`max z − zᵢ`, over the last axis: (..., vocab) -> (..., vocab), float64, at least 0.

    How much less likely than the likeliest token each is, in nats: `log p_max − log pᵢ`.
    0 for every entry equal to the largest, +inf among them; −inf entries give inf, also in a row
    that has no others.

    >>> gaps(np.array([1.0, 3.0, -np.inf]))
    array([ 2.,  0., inf])
    """
    z = scores.astype(np.float64)
    top = z.max(axis=-1, keepdims=True)
    with quiet():
        below = top - z
    result: Array = np.where(z == top, np.where(top > -np.inf, 0.0, np.inf), below)
    return result


def relative_probabilities(scores: Array) -> Array:
    """`exp(zᵢ − max z)`, over the last axis: (..., vocab) -> (..., vocab), float64.

    The probability of each token over that of the likeliest one, so the largest is 1 exactly.
    Left undivided by the sum, equal tokens add up without rounding: seven of ten have 7 of 10.
    +inf entries share everything equally; a row that is all −inf gives zeros.

    >>> relative_probabilities(np.array([0.0, np.log(2.0), -np.inf])).round(4)
    array([0.5, 1. , 0. ])
    """
    relative: Array = np.exp(-gaps(scores))
    return relative


def mean_gap(scores: Array) -> Array:
    """`Σᵢ pᵢ (max z − zᵢ)`, over the last axis: (..., vocab) -> (..., 1), float64.

    By it the entropy is `H = −log p_max + mean gap`, and a token's surprise less the entropy,
    `−log pᵢ − H`, is its gap less the mean one: no logarithm is left to round. A token of
    probability 0 adds 0; a row that is all −inf gives NaN.

    >>> mean_gap(np.array([[0.0, 0.0], [0.0, -np.inf], [0.0, -np.log(3.0)]])).round(4)
    array([[0.    ],
           [0.    ],
           [0.2747]])
    """
    gap, weight = gaps(scores), relative_probabilities(scores)
    with quiet():
        mean: Array = weighted(weight, gap).sum(axis=-1, keepdims=True) / weight.sum(
            axis=-1, keepdims=True
        )
    return mean


def weighted(weight: Array, gap: Array) -> Array:
    """`w · gap`, and 0 where w is 0, however large the gap.

    >>> weighted(np.array([0.5, 0.0]), np.array([2.0, np.inf]))
    array([1., 0.])
    """
    with quiet():
        return np.where(weight > 0, weight * gap, 0.0)
