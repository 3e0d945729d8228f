"""Constrained beam search: texts that hold given phrases."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.candidates import Beam, Candidate, best, candidate, totals
from npgpt.decoding.constraints import Alternatives, Match, all_followed, progress, unmet, useful
from npgpt.decoding.generation import Generation
from npgpt.decoding.group import Chosen
from npgpt.decoding.problem import Problem, beam_candidates
from npgpt.decoding.processors.pipeline import pipeline
from npgpt.decoding.search import search
from npgpt.decoding.step import NextStep


def constrained_beam_search(next_step: NextStep, problem: Problem) -> Generation:
    """Beam search for texts that hold, for each of force_words_ids, one of its phrases.

    A phrase is held as a run of generated tokens, or, with force_words_in_prompt, of prompt and
    generated tokens; phrases may overlap. All is as in `beam_search` but for its step 3, the
    candidates of step 2, and the order of results:

    - A candidate that ends the text before all constraints are fulfilled, by that token included,
      is none at all.
    - A beam's progress is how many tokens of phrases it has: of each constraint that is fulfilled
      the length of its longest phrase, of another the longest end of the text that begins one of
      its phrases (`constraints.progress`).
    - Besides the K best candidates there are those by which a beam makes progress, however
      unlikely. Only the first B of the K best may end; of all that do not end, the next beams
      are chosen by banks: those of equal progress are a bank, in order of total, then beam, then
      id; the first of each bank are taken, most progress first, then the second of each, until
      there are B. That is also the order of the beams.
    - Hypotheses that lack a phrase are made only where the search is over. They come after all
      that lack none, and at the limit they are "constraint_unmet".

    Source: Hokamp and Liu 2017, "Lexically Constrained Decoding for Sequence Generation Using Grid
    Beam Search", for candidates from the constraints; Post and Vilar 2018, "Fast Lexically
    Constrained Decoding with Dynamic Beam Allocation for Neural Machine Translation", for
    banks, whose turns here replace its fixed shares.

    >>> from npgpt.decoding.problem import prepare
    >>> from npgpt.decoding.settings import Settings
    >>> from npgpt.decoding.step import Step
    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> after = np.log([[0.2, 0.6, 0.1, 0.1], [0.2, 0.3, 0.4, 0.1]] + [[0.25] * 4] * 2)
    >>> def next_step(rows, state):
    ...     return Step(after[[row[-1] for row in rows]], None, Nothing())
    >>> settings = Settings(num_beams=2, force_words_ids=[[2, 3]], max_new_tokens=3)
    >>> constrained_beam_search(next_step, prepare([0], settings)).sequences
    [[0, 1, 2, 3]]
    """
    settings = problem.settings
    constraints = settings.force_words_ids or ()

    def start(beam: Beam) -> Beam:
        matches: tuple[Match, ...] = ((),) * len(constraints)
        for token in beam.row.tokens if settings.force_words_in_prompt else ():
            matches = all_followed(constraints, matches, token)
        return beam._replace(matches=matches)

    processors = pipeline(settings, vocab_size=problem.vocab_size)
    return search(next_step, problem, processors, choose, start=start)


def choose(problem: Problem, beams: Sequence[Beam], scores: Array, width: int) -> Chosen:
    """The step of constrained beam search, for `width` beams at most."""
    constraints = problem.settings.force_words_ids or ()
    sums = totals(beams, scores)
    count = beam_candidates(problem.settings, width)

    def after(place: int) -> Candidate:
        new = candidate(problem, beams, sums, place)
        matches = all_followed(constraints, beams[new.parent].matches, new.token)
        cut = new.stopped == "length" and unmet(matches)
        return new._replace(matches=matches, stopped="constraint_unmet" if cut else new.stopped)

    while True:
        ranked = [after(place) for place in best(sums, count)]
        too_early = [each for each in ranked if each.ends and unmet(each.matches)]
        if not too_early:
            break
        for each in too_early:
            sums[each.parent, each.token] = -np.inf
    further = [after(place) for place in _helpful(constraints, beams, sums)]
    going = {(each.parent, each.token): each for each in [*ranked, *further] if not each.ends}
    return Chosen(
        ending=[each for each in ranked[:width] if each.ends],
        going=by_banks(going.values(), constraints)[:width],
    )


def by_banks(
    candidates: Iterable[Candidate], constraints: Sequence[Alternatives]
) -> list[Candidate]:
    """The first of each bank, most progress first, then the second of each, and so on.

    >>> from npgpt.decoding.row import Row
    >>> def after(token, total, *matches):
    ...     return Candidate(0, token, total, Row([token], 0), None, None, matches)
    >>> some = [after(4, -1.0, ()), after(5, -3.0, ()), after(7, -9.0, (7,)), after(6, -2.0, ())]
    >>> [each.token for each in by_banks(some, [((7, 8),)])]
    [7, 4, 6, 5]
    """
    banks: defaultdict[int, list[Candidate]] = defaultdict(list)
    for each in sorted(candidates, key=lambda each: (-each.total, each.parent, each.token)):
        banks[progress(constraints, each.matches)].append(each)
    rounds = zip_longest(*(banks[have] for have in sorted(banks, reverse=True)))
    return [each for taken in rounds for each in taken if each is not None]


def _helpful(
    constraints: Sequence[Alternatives], beams: Sequence[Beam], sums: Array
) -> Iterable[int]:
    """The places in sums (beams, vocab), read row by row, by which a beam makes progress."""
    for parent, beam in enumerate(beams):
        have = progress(constraints, beam.matches)
        for token in useful(constraints, beam.matches):
            matches = all_followed(constraints, beam.matches, token)
            if sums[parent, token] > -np.inf and progress(constraints, matches) > have:
                yield parent * sums.shape[1] + token
