"""From what the model says to the scores by which a token is chosen."""

from collections.abc import Mapping, Sequence

import numpy as np

from npgpt.arrays import Array
from npgpt.decoding.guidance import guidance
from npgpt.decoding.problem import Problem
from npgpt.decoding.processors.pipeline import Processor, stages
from npgpt.decoding.row import Row
from npgpt.decoding.step import Step
from npgpt.ops.softmax import log_softmax


def consider(
    problem: Problem,
    processors: Mapping[str, Processor],
    rows: Sequence[Row],
    step: Step,
    *,
    normalised: bool = False,
) -> dict[str, Array]:
    """The scores (rows, vocab) at each stage, by name: the model's logits first, the result last.

    The processors act on the logits, or, where `normalised`, on their log-softmax in float64: sums
    of scores over several tokens, as beams have them, need log-probabilities.
    """
    found = {"model": step.logits}
    if normalised:
        found["log_softmax"] = log_softmax(step.logits.astype(np.float64))
    if step.negative is not None:
        scale = problem.settings.guidance_scale
        found["guidance_scale"] = guidance(step.logits, step.negative, scale=scale)
    processed = stages(processors, rows, last(found))
    return found | {name: scores for name, scores in processed.items() if name != "model"}


def last(stages: Mapping[str, Array]) -> Array:
    """The scores of the last stage.

    >>> last({"model": np.zeros(2), "top_k": np.ones(2)})
    array([1., 1.])
    """
    return stages[next(reversed(list(stages)))]


def of_row(stages: Mapping[str, Array], index: int) -> dict[str, Array]:
    """The stages of one row: scores (vocab,).

    >>> of_row({"model": np.array([[1.0], [2.0]])}, 1)
    {'model': array([2.])}
    """
    return {name: scores[index] for name, scores in stages.items()}
