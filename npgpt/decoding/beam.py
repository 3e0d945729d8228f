"""Beam search, and beam sampling."""

from collections.abc import Sequence

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.candidates import Beam, best, candidate, drawn, totals
from npgpt.decoding.generation import Generation
from npgpt.decoding.group import Chosen
from npgpt.decoding.problem import Problem, beam_candidates
from npgpt.decoding.processors.pipeline import pipeline
from npgpt.decoding.search import search
from npgpt.decoding.step import NextStep


def beam_search(next_step: NextStep, problem: Problem) -> Generation:
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
      (`hypotheses.decided`); the beams are given up;
    - else at the limit, or where no beam has a candidate, as when everything is banned: the beams
      become hypotheses, "length" or "no_candidates", and the B best are kept;
    - or when no beam is left.

    The first num_return_sequences are returned, best first: fewer where there are no more.

    Beam sampling, where the problem has uniforms (prompts, steps, K): the filters of sampling act
    as the last processors, keep at least 1 + number of eos ids tokens of each beam, and in place of
    2. K candidates are drawn without replacement from the softmax of all totals (`drawn`); then
    they are ranked as there.

    Source: Graves 2012, "Sequence Transduction with Recurrent Neural Networks", for decoding by
    beams; what may end, and when to stop, is as in Hugging Face transformers.

    >>> from npgpt.decoding.problem import prepare
    >>> from npgpt.decoding.settings import Settings
    >>> from npgpt.decoding.step import Step
    >>> class Nothing:
    ...     def select(self, rows):
    ...         return self
    >>> after = np.log([[0.1, 0.5, 0.4], [0.3, 0.3, 0.4], [0.1, 0.8, 0.1]])  # p(next | last)
    >>> def next_step(rows, state):
    ...     return Step(after[[row[-1] for row in rows]], None, Nothing())
    >>> settings = Settings(num_beams=2, max_new_tokens=2, num_return_sequences=2)
    >>> found = beam_search(next_step, prepare([0], settings))  # 1 is likelier than 2, but then …
    >>> found.sequences, np.exp(2 * np.array(found.sequence_scores)).round(2).tolist()
    ([[0, 2, 1], [0, 1, 2]], [0.32, 0.2])
    """
    settings = problem.settings
    processors = pipeline(
        settings,
        vocab_size=problem.vocab_size,
        min_tokens_to_keep=1 + len(settings.eos_token_ids),
    )
    return search(next_step, problem, processors, choose)


def choose(problem: Problem, beams: Sequence[Beam], scores: Array, width: int) -> Chosen:
    """Steps 2 and 3 of beam search, or of beam sampling, for a group of `width` beams at most."""
    sums = totals(beams, scores)
    count = beam_candidates(problem.settings, width)
    uniforms: dict[int, float] = {}
    if problem.uniforms is not None:
        row = beams[0].row
        uniforms = drawn(sums, problem.uniforms[row.prompt, len(row.new)])
        rest = np.ones(sums.shape, dtype=bool)
        rest.flat[list(uniforms)] = False
        sums[rest] = -np.inf
    ranked = [
        candidate(problem, beams, sums, place)._replace(uniform=uniforms.get(int(place)))
        for place in best(sums, count)
    ]
    return Chosen(
        ending=[each for each in ranked[:width] if each.ends],
        going=[each for each in ranked if not each.ends][:width],
    )
