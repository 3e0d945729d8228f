"""The loop that all beam searches share: how they ask the model, and what becomes of each choice.

A group is one search of a few beams for one prompt. Beam search has one group a prompt, diverse
beam search several. The beams of all groups are read by the model together, in order of prompt,
then group, then beam; a group that is over has no beams and is no longer asked about.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from npgpt.arrays import Array
from npgpt.decoding.candidates import Beam
from npgpt.decoding.consider import consider
from npgpt.decoding.generation import Generation
from npgpt.decoding.group import Choose, Group, Turn, advanced
from npgpt.decoding.hypotheses import gathered
from npgpt.decoding.logits import checked
from npgpt.decoding.problem import Problem
from npgpt.decoding.processors.pipeline import Processor
from npgpt.decoding.step import NextStep, Step, selected


def search(
    next_step: NextStep,
    problem: Problem,
    processors: Mapping[str, Processor],
    choose: Choose,
    *,
    groups: int = 1,
    start: Callable[[Beam], Beam] = lambda beam: beam,
) -> Generation:
    """The hypotheses that `choose`, step by step, finds for each prompt.

    Each group starts with one beam, what `start` makes of the prompt. Within a step the first
    groups of all prompts choose before the second groups do, and so on.
    """
    state = [Group([start(Beam(row))]) for row in problem.rows for _ in range(groups)]
    width = problem.settings.num_beams // groups
    prompts = range(len(problem.prompts))
    step = checked(next_step(problem.prompts, None), problem, prompts)
    step = selected(step, [prompt for prompt in prompts for _ in range(groups)])
    while True:
        firsts = [0, *accumulate(len(group.beams) for group in state)]
        for turn in range(groups):
            members = [at for at in range(turn, len(state), groups) if state[at].beams]
            spans = [range(firsts[at], firsts[at + 1]) for at in members]
            said = _stages(problem, processors, step, [state[at].beams for at in members], spans)
            for at, stages in zip(members, said, strict=True):
                first = at - turn  # the first group of its prompt
                place = sum(len(group.beams) for group in state[first:at])
                taken = Turn(state[at], stages, firsts[at] - firsts[first], place)
                state[at] = advanced(problem, taken, choose, width)
        beams = [beam for group in state for beam in group.beams]
        if not beams:
            each = [state[first : first + groups] for first in range(0, len(state), groups)]
            return gathered(problem, [[h for group in of for h in group.found] for of in each])
        step = selected(step, [firsts[b.row.prompt * groups] + b.parents[-1] for b in beams])
        new = next_step([beam.row.tokens[-1:] for beam in beams], step.state)
        asked, done = [beam.row.prompt for beam in beams], len(beams[0].row.new)
        step = checked(new, problem, asked, done=done, width=step.logits.shape[1])


def _stages(
    problem: Problem,
    processors: Mapping[str, Processor],
    step: Step,
    beams: Sequence[Sequence[Beam]],
    spans: Sequence[range],
) -> list[dict[str, Array]]:
    """The stages of the scores of each group's beams, which are those rows of the step."""
    rows = [row for span in spans for row in span]
    if not rows:
        return []
    if len(rows) < len(step.logits):
        negative = None if step.negative is None else step.negative[rows]
        step = step._replace(logits=step.logits[rows], negative=negative)
    asked = [beam.row for group in beams for beam in group]
    stages = consider(problem, processors, asked, step, normalised=True)
    ends = list(accumulate(map(len, spans)))
    parts = [slice(end - len(span), end) for end, span in zip(ends, spans, strict=True)]
    return [{name: scores[part] for name, scores in stages.items()} for part in parts]
