"""Beams, and the candidates to follow them: which tokens, of which beam, with which total."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from npgpt.arrays import Array, quiet
from npgpt.decoding.constraints import Match
from npgpt.decoding.ledger import StopReason
from npgpt.decoding.probabilities import relative_probabilities
from npgpt.decoding.problem import Problem
from npgpt.decoding.row import Row
from npgpt.decoding.stopping import stop_reason


class Beam(NamedTuple):
    """A text that a search may go on with, or has ended.

    row: its tokens; total: the sum of their scores. For each new token: parents, the place among
    its prompt's beams of the one it was appended to; logprobs, the model's own; scores (vocab,),
    kept only for output_scores. matches: how far it is with each constraint.
    """

    row: Row
    total: float = 0.0
    parents: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    scores: tuple[Array, ...] = ()
    matches: tuple[Match, ...] = ()


class Candidate(NamedTuple):
    """One token after one beam.

    parent: the beam's place in its group; row and matches: those of the beam with the token;
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


def best(totals: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Where in totals (beams, vocab), read row by row, the `count` largest are, the largest first.

    Among equals the lower beam is first, then the lower id. −∞ is never among them, so there may be
    fewer.

    >>> best(np.array([[-1.0, -np.inf], [-1.0, -0.5]]), 4)
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


def drawn(totals: npt.NDArray[np.float64], uniforms: Sequence[float]) -> dict[int, float]:
    """Places in totals (beams, vocab), drawn without replacement from the softmax of them all.

    Places count row by row. Each uniform u draws one, whose value it is: `min{i : w₀ + … + wᵢ > u ·
    Σ w}` with w = exp(total − max), summed in float64, of which those drawn before are now 0.
    Fewer are drawn where no weight is left. Each draw is one of `npgpt.decoding.sampling.draw`.

    >>> drawn(np.array([[0.0, -1e9], [0.0, 0.0]]), [0.5, 0.5, 0.5, 0.5])
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
    problem: Problem, beams: Sequence[Beam], totals: npt.NDArray[np.float64], place: int
) -> Candidate:
    """The candidate at that place in totals (beams, vocab), read row by row; without matches."""
    parent, token = divmod(int(place), totals.shape[1])
    row = beams[parent].row.followed_by(token)
    return Candidate(parent, token, float(totals[parent, token]), row, stop_reason(problem, row))
