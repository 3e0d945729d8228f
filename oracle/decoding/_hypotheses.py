"""Beams and finished hypotheses: how they score, which are kept, when a search is over.

Source of the score: Wu et al. 2016, https://arxiv.org/abs/1609.08144, section 7, with length to a
power in place of their (5 + length) / 6.
"""

import math
from dataclasses import dataclass, field

from torch import Tensor

from oracle.decoding._constraints import constrained_text, constraints_of, fulfilled
from oracle.decoding._generation import Generation
from oracle.decoding._rows import Row, Settings, ids
from oracle.decoding._stepwise import TextOf, stack


@dataclass(frozen=True)
class Beam:
    """A row and its total. parents: for each generated token, which beam it went on from."""

    row: Row
    total: float = 0.0
    parents: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    scores: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Hypothesis:
    """A finished beam. moves: by how much its score may move while every logit moves by 1.

    step: the number of steps before the one in which it finished.
    """

    beam: Beam
    score: float
    moves: float
    stopped: str
    fulfilled: bool
    step: int


@dataclass
class Group:
    """Beams of one prompt that compete with each other.

    moves: by how much a total may move while every logit moves by 1.
    """

    running: list[Beam]
    finished: list[Hypothesis] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    moves: float = 0.0


@dataclass(frozen=True)
class Search:
    """What does not change during a search. width: the beams of one group."""

    settings: Settings
    width: int
    groups: int
    text_of: TextOf | None

    @property
    def kept(self) -> int:
        """How many candidates a group keeps in a step."""
        return max(2, 1 + len(ids(self.settings.get("eos_token_id")))) * self.width

    def score(self, total: float, length: int) -> float:
        """A total over length to the power of length_penalty; 0 for a text of no tokens."""
        return total / self.power(length) if length else 0.0

    def power(self, length: int) -> float:
        """What a total over length is divided by."""
        penalty = self.settings.get("length_penalty")
        return float(max(length, 1)) ** (1.0 if penalty is None else penalty)


def hypothesis(search: Search, group: Group, beam: Beam, stopped: str) -> Hypothesis:
    """The beam as a result; one that the limit cuts short of a constraint says so."""
    constraints = constraints_of(search.settings)
    done = fulfilled(constrained_text(beam.row, search.settings), constraints)
    length = len(beam.row.generated)
    if not done and stopped == "length":
        stopped = "constraint_unmet"
    score, moves = search.score(beam.total, length), group.moves / search.power(length)
    return Hypothesis(beam, score, moves, stopped, done, len(group.margins))


def keep_best(search: Search, group: Group) -> float:
    """Sort what has finished, best first, drop what is too much; how narrowly that was decided."""
    group.finished = _sorted(group.finished)
    kept, dropped = group.finished[: search.width], group.finished[search.width :]
    group.finished = kept
    return min((_margin(kept[-1], hypothesis) for hypothesis in dropped), default=math.inf)


def _sorted(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    # A stable sort: of equals in one step, the one that was put in first stays first.
    return sorted(hypotheses, key=lambda h: (not h.fulfilled, -h.score, h.step))


def _margin(better: Hypothesis, worse: Hypothesis) -> float:
    if better.fulfilled != worse.fulfilled:
        return math.inf
    return (better.score - worse.score) / (better.moves + worse.moves)


def stop(search: Search, group: Group) -> float:
    """Close the group if it is done; how narrowly that was decided."""
    row = group.running[0].row
    length, room = len(row.generated), row.limit - row.start
    full, margin = len(group.finished) == search.width, math.inf
    early = search.settings.get("early_stopping", False)
    if full and early is True:
        group.running = []
    elif full:
        worst, total = group.finished[-1], max(beam.total for beam in group.running)
        lengths = (length, room) if early == "never" else (length,)
        bound = max(search.score(total, n) for n in lengths)
        moves = max(group.moves / search.power(n) for n in lengths)
        margin = abs(bound - worst.score) / (moves + worst.moves)
        if bound <= worst.score:
            group.running = []
    if group.running and length == room:
        margin = min(margin, close(search, group, "length"))
    return margin


def close(search: Search, group: Group, stopped: str) -> float:
    """Let the running beams be hypotheses as they are."""
    for beam in group.running:
        group.finished.append(hypothesis(search, group, beam, stopped))
    group.running = []
    return keep_best(search, group)


def results(search: Search, prompts: list[list[Group]]) -> Generation:
    """The best hypotheses of each prompt, of all its groups together."""
    found, margins = [], []
    number = search.settings.get("num_return_sequences") or 1
    for of_prompt in prompts:
        every = _sorted([h for group in of_prompt for h in group.finished])
        steps = [list(group.margins) for group in of_prompt]
        together = [min(at) for at in zip(*_padded(steps), strict=True)]
        last = min(map(_margin, every[:number], every[1 : number + 1]), default=math.inf)
        found += every[:number]
        margins += [(*together, last)] * len(every[:number])
    return Generation(
        prompts=tuple(h.beam.row.prompt for h in found),
        sequences=tuple(h.beam.row.tokens for h in found),
        stopped=tuple(h.stopped for h in found),
        logprobs=tuple(h.beam.logprobs for h in found),
        scores=tuple(stack(h.beam.scores) for h in found),
        margins=tuple(margins),
        sequence_scores=tuple(h.score for h in found),
        beam_indices=tuple(h.beam.parents for h in found),
    )


def _padded(steps: list[list[float]]) -> list[list[float]]:
    longest = max(map(len, steps))
    return [some + [math.inf] * (longest - len(some)) for some in steps]
