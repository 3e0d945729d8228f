"""One group of beams in one step: what ends, what goes on, and whether the search is over."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from npgpt.arrays import Array
from npgpt.decoding.candidates import Beam, Candidate
from npgpt.decoding.consider import last, of_row
from npgpt.decoding.hypotheses import Hypothesis, best_first, decided, hypothesis
from npgpt.decoding.ledger import Decision
from npgpt.decoding.problem import Problem


class Chosen(NamedTuple):
    """What becomes of a group in one step: hypotheses that end, and beams to go on with."""

    ending: Sequence[Candidate]
    going: Sequence[Candidate]


# (problem, a group's beams, their scores (beams, vocab), how many beams it may have) -> Chosen.
# Neither ending nor going where nothing is possible, and then alone.
Choose: TypeAlias = Callable[[Problem, Sequence[Beam], Array, int], Chosen]


class Group(NamedTuple):
    """The search of one group: its beams, none when it is over, and the best of what it found."""

    beams: Sequence[Beam]
    found: Sequence[Hypothesis] = ()


class Turn(NamedTuple):
    """A group in one step: the stages of its beams' scores, each (beams, vocab).

    parent and beam: how many of its prompt's beams come before its own, in this step and the next.
    """

    group: Group
    stages: Mapping[str, Array]
    parent: int
    beam: int


def advanced(problem: Problem, turn: Turn, choose: Choose, width: int) -> Group:
    """The group after this step, in which it may have `width` beams.

    It has none where the search is over: see `npgpt.decoding.beam.beam_search`.
    """
    group, settings = turn.group, problem.settings
    chosen = choose(problem, group.beams, last(turn.stages), width)
    if not chosen.ending and not chosen.going:
        return Group([], best_first([*group.found, *_stuck(problem, turn)])[:width])
    ended = [_ended(problem, turn, candidate) for candidate in chosen.ending]
    found = best_first([*group.found, *ended])[:width]
    beams = [_grown(problem, turn, candidate) for candidate in chosen.going]
    if decided(found, beams, settings, width=width):
        return Group([], found)
    if any(candidate.stopped for candidate in chosen.going):  # then all: they are of one length
        cut = [_ended(problem, turn, candidate) for candidate in chosen.going]
        return Group([], best_first([*found, *cut])[:width])
    for place, candidate in enumerate(chosen.going, start=turn.beam):
        _note(problem, turn, candidate, beam=place)
    return Group(beams, found)


def _grown(problem: Problem, turn: Turn, candidate: Candidate) -> Beam:
    """The candidate as a beam."""
    index = candidate.parent
    beam = turn.group.beams[index]
    scores = (last(turn.stages)[index],) if problem.settings.output_scores else ()
    return Beam(
        candidate.row,
        candidate.total,
        (*beam.parents, turn.parent + index),
        (*beam.logprobs, float(turn.stages["log_softmax"][index, candidate.token])),
        (*beam.scores, *scores),
        candidate.matches,
    )


def _ended(problem: Problem, turn: Turn, candidate: Candidate) -> Hypothesis:
    """The candidate as a hypothesis."""
    _note(problem, turn, candidate)
    beam = _grown(problem, turn, candidate)
    step = len(candidate.row.new) - 1
    return hypothesis(beam, candidate.stopped or "length", problem.settings, step=step)


def _stuck(problem: Problem, turn: Turn) -> list[Hypothesis]:
    """The beams as hypotheses, where nothing can follow any of them."""
    for index, beam in enumerate(turn.group.beams):
        _tell(problem, turn, index, token=None, stopped="no_candidates", total=beam.total)
    return [
        hypothesis(beam, "no_candidates", problem.settings, step=len(beam.row.new))
        for beam in turn.group.beams
    ]


def _note(problem: Problem, turn: Turn, candidate: Candidate, *, beam: int | None = None) -> None:
    _tell(
        problem,
        turn,
        candidate.parent,
        token=candidate.token,
        stopped=candidate.stopped,
        uniform=candidate.uniform,
        beam=beam,
        total=candidate.total,
    )


def _tell(problem: Problem, turn: Turn, parent: int, **decided: Any) -> None:
    if problem.note is not None:
        row, stages = turn.group.beams[parent].row, of_row(turn.stages, parent)
        place, step = turn.parent + parent, len(row.new)
        problem.note(Decision(row=row.prompt, step=step, stages=stages, parent=place, **decided))
