"""Diverse beam search: groups of beams, each kept away from what the earlier ones just did."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt.decoding._beam import Selected, search, select
from npgpt.decoding._beams import Beam, Hypothesis
from npgpt.decoding._processors.pipeline import pipeline
from npgpt.decoding._run import Run
from npgpt.decoding._scoring import Row


def diverse_beam_search(run: Run) -> list[list[Hypothesis]]:
    """Beam searches side by side, num_beam_groups G of num_beams / G beams for each prompt.

    Each group is what `beam_search` is, with B = num_beams / G, and stops by itself. In each step
    the groups choose one after another, and the scores of a group are lowered by
    diversity_penalty × how many beams the earlier groups of its prompt have just gone on with by
    that token (`diversity`). What they ended with does not count, nor does a group that was over
    before. The penalty enters the totals.

    The hypotheses of all groups are returned together, best first, among equals that of the earlier
    step, then of the earlier group; two groups may have found the same. beam_indices count the
    beams of all groups, in order of group: in the first step, where each has one, group g has beam
    g.

    Source: Vijayakumar et al. 2018, "Diverse Beam Search: Decoding Diverse Solutions from Neural
    Sequence Models", Algorithm 1 with Hamming diversity.

    >>> from npgpt.decoding import Settings, Step, generate
    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> def next_step(rows, state):  # token 0 always
    ...     return Step(np.log([[0.5, 0.3, 0.2]] * len(rows)), None, Nothing())
    >>> settings = Settings(num_beams=3, num_beam_groups=3, diversity_penalty=1.0, max_new_tokens=1,
    ...                     num_return_sequences=3)
    >>> found = generate(next_step, [0], settings)
    >>> found.sequences, np.round(found.sequence_scores, 4).tolist()
    ([[0, 0], [0, 1], [0, 2]], [-0.6931, -1.204, -1.6094])
    """
    taken: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)

    def select_and_count(run: Run, beams: Sequence[Beam], scores: Array, width: int) -> Selected:
        selected = select(run, beams, scores, width)
        taken[_step(beams[0].row)].update(candidate.token for candidate in selected.running)
        return selected

    request, settings = run.request, run.request.settings
    lowered = partial(diversity, penalty=settings.diversity_penalty, taken=taken)
    processors = pipeline(settings, vocab_size=request.vocab_size, diversity=lowered)
    run = dataclasses.replace(run, processors=processors)
    return search(run, select_and_count, groups=settings.num_beam_groups)


def diversity(
    rows: Sequence[Row],
    scores: Array,
    *,
    penalty: float,
    taken: Mapping[tuple[int, int], Mapping[int, int]],
) -> Array:
    """`s − λ · c`, where c is how many beams of earlier groups took the token in this step.

    scores (rows, vocab) -> (rows, vocab), dtype kept; infinite scores stay. taken: by the place of
    the prompt and the number of tokens generated before, how often each token was.

    >>> diversity([Row([5], 1)], np.zeros((1, 3)), penalty=0.5, taken={(0, 0): {1: 2}})
    array([[ 0., -1.,  0.]])
    """
    result = scores.copy()
    for index, row in enumerate(rows):
        for token, count in taken.get(_step(row), {}).items():
            s = scores[index, token]
            with quiet():
                result[index, token] = s if np.isinf(s) else s - penalty * count
    return result


def _step(row: Row) -> tuple[int, int]:
    return row.prompt, len(row.new)
