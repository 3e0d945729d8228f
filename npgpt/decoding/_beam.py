"""Beam search, and beam sampling; and the loop that all beam searches share."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from npgpt._arrays import Array
from npgpt.decoding._beams import (
    Beam,
    Candidate,
    Hypothesis,
    best_first,
    best_places,
    candidate,
    decided,
    drawn_places,
    hypothesis,
    totals,
)
from npgpt.decoding._processors.pipeline import pipeline
from npgpt.decoding._request import StopReason, beam_candidates
from npgpt.decoding._run import Batch, Decision, Run
from npgpt.decoding._scoring import Scores


def beam_search(run: Run) -> list[list[Hypothesis]]:
    """Texts of a high sum of scores, found by going on with the best B = num_beams at each step.

    A search for each prompt, which no other prompt changes. It starts with one beam, the prompt,
    whose total is 0. In each step

    1. the processors turn the log-softmax of each beam b into scores s_b (vocab,), float64;
    2. candidates are all (b, v) with a total `total_b + s_b(v)` above −∞. The K = max(2, 1 + number
       of eos ids) · B of the highest total are kept, fewer if there are no more; among equals the
       lower beam is first, then the lower id;
    3. a candidate that ends the text, by an eos or a stop string, becomes a hypothesis if fewer
       than B candidates rank before it, or else is dropped. The first B others are the next beams,
       in order of rank; there may be fewer.

    A hypothesis scores `total / g ^ length_penalty`, with g generated tokens, eos included. The B
    best are kept, among equals the earlier one. The search is over

    - when B hypotheses are kept and no beam may do better, as early_stopping has it
      (`beams.decided`); the beams are given up;
    - else at the limit, or where no beam has a candidate, as when everything is banned: the beams
      become hypotheses, "length" or "no_candidates", and the B best are kept;
    - or when no beam is left.

    The first num_return_sequences are returned, best first: fewer where there are no more.

    Beam sampling, where the request has uniforms (prompts, steps, K): the filters of sampling act
    as the last processors, keep at least 1 + number of eos ids tokens of each beam, and in place of
    2. K candidates are drawn without replacement from the softmax of all totals (`drawn_places`);
    then they are ranked as there.

    Source: Graves 2012, "Sequence Transduction with Recurrent Neural Networks", for decoding by
    beams; what may end, and when to stop, is as in Hugging Face transformers.

    >>> from npgpt.decoding import Settings, Step, generate
    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> after = np.log([[0.1, 0.5, 0.4], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]])  # p(next | last)
    >>> def next_step(rows, state):
    ...     return Step(after[[row[-1] for row in rows]], None, Nothing())
    >>> settings = Settings(num_beams=2, max_new_tokens=2, num_return_sequences=2)
    >>> found = generate(next_step, [0], settings)  # 1 is likelier than 2, but then …
    >>> found.sequences, np.exp(2 * np.array(found.sequence_scores)).round(2).tolist()
    ([[0, 2, 1], [0, 1, 2]], [0.32, 0.2])
    """
    request = run.request
    processors = pipeline(
        request.settings,
        vocab_size=request.vocab_size,
        min_tokens_to_keep=1 + len(request.settings.eos_token_ids),
    )
    return search(dataclasses.replace(run, processors=processors), select)


class Selected(NamedTuple):
    """What becomes of a group in one step: candidates that end a text, and the next beams.

    Neither where nothing is possible, and then alone.
    """

    finished: Sequence[Candidate]
    running: Sequence[Candidate]


def select(run: Run, beams: Sequence[Beam], scores: Array, width: int) -> Selected:
    """Steps 2 and 3 of beam search, or of beam sampling, for a group of `width` beams at most."""
    request, row = run.request, beams[0].row
    sums = totals(beams, scores)
    count = beam_candidates(request.settings, width)
    uniforms: dict[int, float] = {}
    if request.uniforms is not None:
        uniforms = drawn_places(sums, request.uniforms[row.prompt, len(row.new)])
        rest = np.ones(sums.shape, dtype=bool)
        rest.flat[list(uniforms)] = False
        sums[rest] = -np.inf
    ranked = [
        candidate(request, beams, sums, place)._replace(uniform=uniforms.get(int(place)))
        for place in best_places(sums, count)
    ]
    return Selected(
        finished=[new for new in ranked[:width] if new.ends],
        running=[new for new in ranked if not new.ends][:width],
    )


# (run, a group's beams, their scores (beams, vocab), how many beams it may have) -> Selected
Select: TypeAlias = Callable[[Run, Sequence[Beam], Array, int], Selected]


class Group(NamedTuple):
    """One search of a few beams: its beams, none when it is over, and the best hypotheses so far.

    Beam search has one group a prompt, diverse beam search several.
    """

    beams: Sequence[Beam]
    finished: Sequence[Hypothesis] = ()


def search(
    run: Run,
    select: Select,
    *,
    groups: int = 1,
    start: Callable[[Beam], Beam] = lambda beam: beam,
) -> list[list[Hypothesis]]:
    """The best hypotheses that `select`, step by step, leads to for each prompt, best first.

    Each group starts with one beam, what `start` makes of the prompt. The model reads the beams of
    all groups together, in order of prompt, then group, then beam; a group that is over has none.
    """
    settings = run.request.settings
    run = dataclasses.replace(run, normalised=True)
    prompts = [
        [Group([start(Beam(row, place=group))]) for group in range(groups)]
        for row in run.request.rows
    ]
    beams = _beams(prompts)
    batch = run.prefill([beam.row for beam in beams])
    while True:
        places = {(beam.row.prompt, beam.place): index for index, beam in enumerate(beams)}
        prompts = _step(run, batch, prompts, places, select, settings.num_beams // groups)
        beams = _beams(prompts)
        if not beams:
            break
        parents = [places[beam.row.prompt, beam.parents[-1]] for beam in beams]
        batch = run.read_on(batch, parents, [beam.row for beam in beams])
    hypotheses = [[one for group in prompt for one in group.finished] for prompt in prompts]
    return [best_first(of_prompt)[: settings.num_return_sequences] for of_prompt in hypotheses]


def _beams(prompts: Sequence[Sequence[Group]]) -> list[Beam]:
    return [beam for prompt in prompts for group in prompt for beam in group.beams]


def _step(
    run: Run,
    batch: Batch,
    prompts: Sequence[Sequence[Group]],
    places: Mapping[tuple[int, int], int],
    select: Select,
    width: int,
) -> list[list[Group]]:
    """The groups of each prompt after one step, in which each may have `width` beams.

    The first groups of all prompts select before the second groups do, and so on. places: which row
    of the batch the beam of a prompt and place is.
    """
    after: list[list[Group]] = [[] for _ in prompts]
    for turn in zip(*prompts, strict=True):
        parts = iter(_scores(run, batch, [group for group in turn if group.beams], places))
        for before, done in zip(turn, after, strict=True):
            first = sum(len(earlier.beams) for earlier in done)
            if not before.beams:
                done.append(before)
                continue
            step = GroupStep(run, before, next(parts))
            done.append(step.advanced(select, width, first=first))
    return after


def _scores(
    run: Run,
    batch: Batch,
    groups: Sequence[Group],
    places: Mapping[tuple[int, int], int],
) -> list[Scores]:
    """The scores of the beams of each of these groups, (beams, vocab)."""
    if not groups:
        return []
    beams = [beam for group in groups for beam in group.beams]
    part = batch.part([places[beam.row.prompt, beam.place] for beam in beams])
    return run.scores(part).parts([len(group.beams) for group in groups])


class GroupStep(NamedTuple):
    """A group in one step, with the scores of its beams (beams, vocab)."""

    run: Run
    group: Group
    scores: Scores

    def advanced(self, select: Select, width: int, *, first: int) -> Group:
        """The group after the step, with no beams where the search is over: see `beam_search`.

        first: the place of its first beam among its prompt's.
        """
        selected = select(self.run, self.group.beams, self.scores.final, width)
        if not selected.finished and not selected.running:
            return Group([], best_first([*self.group.finished, *self._stuck()])[:width])
        ended = self._ended(selected.finished)
        finished = best_first([*self.group.finished, *ended])[:width]
        places = enumerate(selected.running, start=first)
        beams = [self._grown(new, place=place) for place, new in places]
        if decided(finished, beams, self.run.request.settings, width=width):
            return Group([], finished)
        cut_off = self._ended([new for new in selected.running if new.stopped])
        if cut_off:  # then all are: they are of one length
            return Group([], best_first([*finished, *cut_off])[:width])
        for new, beam in zip(selected.running, beams, strict=True):
            self._note(new.parent, new, stopped=None, beam=beam.place)
        return Group(beams, finished)

    def _grown(self, new: Candidate, *, place: int = 0) -> Beam:
        """The candidate as a beam."""
        parent, of_parent = self.group.beams[new.parent], self.scores.row(new.parent)
        kept = (of_parent.final,) if self.run.request.settings.output_scores else ()
        return Beam(
            new.row,
            new.total,
            place,
            (*parent.parents, parent.place),
            (*parent.logprobs, of_parent.logprob(new.token)),
            (*parent.scores, *kept),
            new.matches,
        )

    def _ended(self, candidates: Sequence[Candidate]) -> list[Hypothesis]:
        """The candidates that end a text as hypotheses."""
        hypotheses = []
        for new in candidates:
            if new.stopped is not None:
                self._note(new.parent, new, stopped=new.stopped)
                beam, step = self._grown(new), len(new.row.new) - 1
                settings = self.run.request.settings
                hypotheses.append(hypothesis(beam, new.stopped, settings, step=step))
        return hypotheses

    def _stuck(self) -> list[Hypothesis]:
        """The beams as hypotheses, where nothing can follow any of them."""
        for parent in range(len(self.group.beams)):
            self._note(parent, None, stopped="no_candidates")
        settings = self.run.request.settings
        return [
            hypothesis(beam, "no_candidates", settings, step=len(beam.row.new))
            for beam in self.group.beams
        ]

    def _note(
        self,
        parent: int,
        new: Candidate | None,
        *,
        stopped: StopReason | None,
        beam: int | None = None,
    ) -> None:
        """Tell of a candidate that follows this beam of the group, None where nothing can.

        beam: the place that it takes among the next beams, if it does not end a text.
        """
        if self.run.note is None:
            return
        before = self.group.beams[parent]
        decision = Decision(
            row=before.row.prompt,
            step=len(before.row.new),
            stages=self.scores.row(parent).by_name,
            token=None if new is None else new.token,
            stopped=stopped,
            uniform=None if new is None else new.uniform,
            parent=before.place,
            beam=beam,
            total=before.total if new is None else new.total,
        )
        self.run.note(decision)
