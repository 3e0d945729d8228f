"""What a search has found: finished texts, their scores, and when there is no need to go on."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from npgpt.arrays import quiet
from npgpt.decoding.candidates import Beam
from npgpt.decoding.constraints import unmet
from npgpt.decoding.generation import Generation
from npgpt.decoding.ledger import StopReason
from npgpt.decoding.problem import Problem
from npgpt.decoding.settings import Settings


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

    >>> from npgpt.decoding.row import Row
    >>> one, two = (Hypothesis(Beam(Row([0], 1)), s, "eos", 0) for s in (-2.0, -1.0))
    >>> [each.score for each in best_first([one, two])]
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


def gathered(problem: Problem, found: Sequence[Sequence[Hypothesis]]) -> Generation:
    """The Generation of each prompt's num_return_sequences best hypotheses, best first."""
    settings = problem.settings
    rows = [one for each in found for one in best_first(each)[: settings.num_return_sequences]]
    beams = [one.beam for one in rows]
    return Generation(
        sequences=[list(beam.row.tokens) for beam in beams],
        prompt_lengths=[beam.row.prompt_length for beam in beams],
        logprobs=[list(beam.logprobs) for beam in beams],
        scores=[[each.copy() for each in beam.scores] for beam in beams]
        if settings.output_scores
        else None,
        stopped=[one.stopped for one in rows],
        decoder=problem.decoder,
        prompts=[beam.row.prompt for beam in beams],
        sequence_scores=[one.score for one in rows],
        beam_indices=[list(beam.parents) for beam in beams],
    )
