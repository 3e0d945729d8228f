"""Beams: texts that a search goes on with, candidates to follow them, and finished hypotheses.

What a search ranks, how it draws, and when it may stop; `npgpt.decoding._beam` has the search.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array, quiet
from npgpt.decoding._request import Request, StopReason, stop_reason
from npgpt.decoding._scoring import Row, relative_probabilities
from npgpt.decoding._settings import Phrase, Settings

# How far a text is with a constraint: the longest end of it that begins one of the constraint's
# phrases; None once the text has held one of them, which is for ever.
Match: TypeAlias = Phrase | None


class Beam(NamedTuple):
    """A text that a search may go on with, or has ended.

    row: its tokens; total: the sum of their scores; place: its own among its prompt's beams. For
    each new token: parents, the place of the beam that it was appended to; logprobs, the model's
    own; scores (vocab,), kept only for output_scores. matches: how far it is with each constraint.
    """

    row: Row
    total: float = 0.0
    place: int = 0
    parents: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    scores: tuple[Array, ...] = ()
    matches: tuple[Match, ...] = ()


class Candidate(NamedTuple):
    """One token after one beam.

    parent: which beam of its group it is; row and matches: those of the beam with the token;
    stopped: why it would end there, None where it would not; uniform: what it was drawn with.
    """

    parent: int
    token: int
    total: float
    row: Row
    stopped: StopReason | None
    uniform: float | None = None
    matches: tuple[Match, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether the text is complete with this token; at its limit it is merely cut off."""
        return self.stopped in ("eos", "stop_string")


def totals(beams: Sequence[Beam], scores: Array) -> npt.NDArray[np.float64]:
    """`Σ s of the beam's tokens + s(v)`, for scores s (beams, vocab) -> (beams, vocab), float64.

    A score of −∞ rules out, whatever was before it.

    >>> totals([Beam(Row([0], 1), -1.0)], np.array([[-0.5, -np.inf]]))
    array([[-1.5, -inf]])
    """
    before = np.array([beam.total for beam in beams], dtype=np.float64)
    with quiet():
        return np.where(scores > -np.inf, before[:, None] + scores, -np.inf)


def best_places(totals: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Where in totals (beams, vocab), read row by row, the `count` largest are, the largest first.

    Among equals the lower beam is first, then the lower id. −∞ is never among them, so there may be
    fewer.

    >>> best_places(np.array([[-1.0, -np.inf], [-1.0, -0.5]]), 4)
    array([3, 0, 2])
    """
    flat = totals.ravel()
    if count < flat.size:
        least = np.partition(flat, flat.size - count)[flat.size - count]
        above, equal = np.flatnonzero(flat > least), np.flatnonzero(flat == least)
        places = np.sort(np.concatenate([above, equal[: count - above.size]]))
    else:
        places = np.arange(flat.size)
    places = places[flat[places] > -np.inf]
    ranked: npt.NDArray[np.int64] = places[np.argsort(-flat[places], kind="stable")]
    return ranked


def drawn_places(totals: npt.NDArray[np.float64], uniforms: Sequence[float]) -> dict[int, float]:
    """Places in totals (beams, vocab), drawn without replacement from the softmax of them all.

    Places count row by row. Each uniform u draws one, whose value it is: `min{i : w₀ + … + wᵢ > u ·
    Σ w}` with w = exp(total − max), summed in float64, of which those drawn before are now 0.
    Fewer are drawn where no weight is left. Each draw is one of `sampling.draw`.

    >>> drawn_places(np.array([[0.0, -1e9], [0.0, 0.0]]), [0.5, 0.5, 0.5, 0.5])
    {2: 0.5, 3: 0.5, 0: 0.5}
    """
    weights = relative_probabilities(totals.ravel())
    possible = np.flatnonzero(weights)
    weights = weights[possible]
    places: dict[int, float] = {}
    for uniform in uniforms[: len(possible)]:
        cumulative = np.cumsum(weights)
        index = int(np.searchsorted(cumulative / cumulative[-1], uniform, side="right"))
        places[int(possible[index])] = float(uniform)
        weights[index] = 0
    return places


def candidate(
    request: Request, beams: Sequence[Beam], totals: npt.NDArray[np.float64], place: int
) -> Candidate:
    """The candidate at that place in totals (beams, vocab), read row by row; without matches."""
    parent, token = divmod(int(place), totals.shape[1])
    row = beams[parent].row.followed_by(token)
    return Candidate(parent, token, float(totals[parent, token]), row, stop_reason(request, row))


def unmet(matches: Sequence[Match]) -> bool:
    """Whether a constraint is not fulfilled yet.

    >>> unmet(()), unmet((None, ()))
    (False, True)
    """
    return any(match is not None for match in matches)


class Hypothesis(NamedTuple):
    """A finished text: its score, why it ended, and in which step."""

    beam: Beam
    score: float
    stopped: StopReason
    step: int


def score(total: float, length: int, length_penalty: float) -> float:
    """`total / length ^ length_penalty`, length being the number of generated tokens, eos included.

    A total of 0 stays 0, whatever the length, and an infinite one infinite. With a penalty above 0
    longer texts gain, since totals are below 0.

    Source: Wu et al. 2016, "Google's Neural Machine Translation System", section 7, has the idea
    of dividing by a power of the length; this is the plain power, as in Hugging Face transformers.

    >>> score(-6.0, 3, 1.0), score(-6.0, 3, 0.0), score(0.0, 0, 1.0)
    (-2.0, -6.0, 0.0)
    """
    if total == 0 or math.isinf(total):
        return total
    with quiet():
        return float(np.float64(total) / np.float64(length) ** length_penalty)


def hypothesis(beam: Beam, stopped: StopReason, settings: Settings, *, step: int) -> Hypothesis:
    """The beam as a hypothesis."""
    result = score(beam.total, len(beam.row.new), settings.length_penalty)
    return Hypothesis(beam, result, stopped, step)


def best_first(hypotheses: Iterable[Hypothesis]) -> list[Hypothesis]:
    """Those that fulfil all constraints first, then by score; among equals by step, then as given.

    >>> one, two = (Hypothesis(Beam(Row([0], 1)), s, "eos", 0) for s in (-2.0, -1.0))
    >>> [found.score for found in best_first([one, two])]
    [-1.0, -2.0]
    """

    def order(one: Hypothesis) -> tuple[bool, float, int]:
        return unmet(one.beam.matches), -one.score, one.step

    return sorted(hypotheses, key=order)


def decided(
    kept: Sequence[Hypothesis], beams: Sequence[Beam], settings: Settings, *, width: int
) -> bool:
    """Whether the search may stop: `width` hypotheses are kept, best first, and no beam matters.

    early_stopping=True: no beam matters any more. False: the best total of a beam, at its present
    length, scores no better than the worst one kept. "never": nor does it at the greatest length
    that it may reach. (One of the two lengths favours it most: the greatest where length_penalty
    and total differ in sign.)
    """
    if len(kept) < width:
        return False
    if settings.early_stopping is True or not beams:
        return True
    row, total = beams[0].row, max(beam.total for beam in beams)
    lengths = [len(row.new)]
    if settings.early_stopping == "never":
        lengths.append(row.limit - row.prompt_length)
    hope = max(score(total, length, settings.length_penalty) for length in lengths)
    return hope <= kept[-1].score
