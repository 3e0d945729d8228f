"""Constrained beam search: texts that hold given phrases.

How far a text is with a phrase is the state of an automaton (`followed`).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TypeAlias

import numpy as np

from npgpt._arrays import Array
from npgpt.decoding._beam import Selected, search
from npgpt.decoding._beams import (
    Beam,
    Candidate,
    Hypothesis,
    Match,
    best_places,
    candidate,
    totals,
    unmet,
)
from npgpt.decoding._request import beam_candidates, needed
from npgpt.decoding._run import Run
from npgpt.decoding._settings import Phrase

# One constraint: alternative phrases, of which the text must hold one.
Alternatives: TypeAlias = tuple[Phrase, ...]


def constrained_beam_search(run: Run) -> list[list[Hypothesis]]:
    """Beam search for texts that hold, for each of force_words_ids, one of its phrases.

    A phrase is held as a run of generated tokens, or, with force_words_in_prompt, of prompt and
    generated tokens; phrases may overlap. All is as in `beam_search` but for its step 3, the
    candidates of step 2, and the order of results:

    - A candidate that ends the text before all constraints are fulfilled, by that token included,
      is none at all.
    - A beam's progress is how many tokens of phrases it has: of each constraint that is fulfilled
      the length of its longest phrase, of another the longest end of the text that begins one of
      its phrases (`progress`).
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

    >>> from npgpt.decoding import Settings, Step, generate
    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> after = np.log([[0.2, 0.6, 0.1, 0.1], [0.2, 0.3, 0.4, 0.1]] + [[0.25] * 4] * 2)
    >>> def next_step(rows, state):
    ...     return Step(after[[row[-1] for row in rows]], None, Nothing())
    >>> settings = Settings(num_beams=2, force_words_ids=[[2, 3]], max_new_tokens=3)
    >>> generate(next_step, [0], settings).sequences
    [[0, 1, 2, 3]]
    """
    settings = run.request.settings
    constraints = needed(settings.force_words_ids, "force_words_ids")

    def start(beam: Beam) -> Beam:
        matches: tuple[Match, ...] = ((),) * len(constraints)
        for token in beam.row.tokens if settings.force_words_in_prompt else ():
            matches = all_followed(constraints, matches, token)
        return beam._replace(matches=matches)

    return search(run, select, start=start)


def select(run: Run, beams: Sequence[Beam], scores: Array, width: int) -> Selected:
    """The step of constrained beam search, for `width` beams at most."""
    settings = run.request.settings
    constraints = needed(settings.force_words_ids, "force_words_ids")
    sums = totals(beams, scores)
    count = beam_candidates(settings, width)

    def after(place: int) -> Candidate:
        new = candidate(run.request, beams, sums, place)
        matches = all_followed(constraints, beams[new.parent].matches, new.token)
        cut = new.stopped == "length" and unmet(matches)
        return new._replace(matches=matches, stopped="constraint_unmet" if cut else new.stopped)

    while True:
        ranked = [after(place) for place in best_places(sums, count)]
        too_early = [new for new in ranked if new.ends and unmet(new.matches)]
        if not too_early:
            break
        for new in too_early:
            sums[new.parent, new.token] = -np.inf
    further = [after(place) for place in _helpful(constraints, beams, sums)]
    running = {(new.parent, new.token): new for new in [*ranked, *further] if not new.ends}
    return Selected(
        finished=[new for new in ranked[:width] if new.ends],
        running=by_banks(running.values(), constraints)[:width],
    )


def by_banks(
    candidates: Iterable[Candidate], constraints: Sequence[Alternatives]
) -> list[Candidate]:
    """The first of each bank, most progress first, then the second of each, and so on.

    >>> from npgpt.decoding._scoring import Row
    >>> def after(token, total, *matches):
    ...     return Candidate(0, token, total, Row([token], 0), None, None, matches)
    >>> ranked = [after(4, -1.0, ()), after(5, -3.0, ()), after(7, -9.0, (7,)), after(6, -2.0, ())]
    >>> [new.token for new in by_banks(ranked, [((7, 8),)])]
    [7, 4, 6, 5]
    """
    banks: defaultdict[int, list[Candidate]] = defaultdict(list)
    for new in sorted(candidates, key=lambda new: (-new.total, new.parent, new.token)):
        banks[progress(constraints, new.matches)].append(new)
    rounds = zip_longest(*(banks[tokens] for tokens in sorted(banks, reverse=True)))
    return [new for taken in rounds for new in taken if new is not None]


def _helpful(
    constraints: Sequence[Alternatives], beams: Sequence[Beam], sums: Array
) -> Iterable[int]:
    """The places in sums (beams, vocab), read row by row, by which a beam makes progress."""
    for parent, beam in enumerate(beams):
        before = progress(constraints, beam.matches)
        for token in useful(constraints, beam.matches):
            matches = all_followed(constraints, beam.matches, token)
            if sums[parent, token] > -np.inf and progress(constraints, matches) > before:
                yield parent * sums.shape[1] + token


def followed(phrases: Alternatives, match: Match, token: int) -> Match:
    """The match after one more token: one move of the Aho–Corasick automaton of the phrases.

    A phrase that ends with the token began at most as long ago as the match did. So its end, and
    the next match, lie within the match and the token: after 1, 1 the phrase 1, 2 is one token in.

    Source: Aho and Corasick 1975, "Efficient String Matching"; of one phrase it is Knuth, Morris
    and Pratt 1977.

    >>> followed(((1, 2),), (1,), 1), followed(((1, 2),), (1,), 2)
    ((1,), None)
    """
    if match is None:
        return None
    text = (*match, token)
    ends = [text[start:] for start in range(len(text) + 1)]  # the longest first, () the last
    if any(end in phrases for end in ends):
        return None
    return next(end for end in ends if any(phrase[: len(end)] == end for phrase in phrases))


def all_followed(
    constraints: Sequence[Alternatives], matches: Sequence[Match], token: int
) -> tuple[Match, ...]:
    """The match of each constraint after one more token.

    >>> all_followed((((1, 2),), ((3,), (2, 4))), ((1,), ()), 2)
    (None, (2,))
    """
    pairs = zip(constraints, matches, strict=True)
    return tuple(followed(phrases, match, token) for phrases, match in pairs)


def progress(constraints: Sequence[Alternatives], matches: Sequence[Match]) -> int:
    """How many tokens of all phrases the text has: those of each match.

    A constraint that is fulfilled counts its longest phrase.

    >>> progress((((1, 2),), ((3,), (2, 4))), ((1,), None))
    3
    """
    pairs = zip(constraints, matches, strict=True)
    return sum(max(map(len, phrases)) if match is None else len(match) for phrases, match in pairs)


def useful(constraints: Sequence[Alternatives], matches: Sequence[Match]) -> list[int]:
    """The only tokens that can raise the progress: those of phrases still wanted, by id.

    >>> useful((((1, 2),), ((3,), (2, 4))), (None, ()))
    [2, 3, 4]
    """
    pairs = zip(constraints, matches, strict=True)
    wanted = [phrases for phrases, match in pairs if match is not None]
    return sorted({token for phrases in wanted for phrase in phrases for token in phrase})
