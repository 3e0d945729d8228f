import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._decoders import prepare, start
from npgpt.decoding._processors.pipeline import pipeline
from npgpt.decoding._run import Batch
from npgpt.decoding._scoring import Row, guidance, score
from npgpt.decoding._settings import Settings
from npgpt.ops._softmax import log_softmax

SCORE = st.sampled_from([-np.inf, -2.0, 0.0, 0.5, 3.0])
ROWS = [Row([1, 2], 1), Row([3], 1)]


@st.composite
def steps(draw):
    """A batch of two rows, whose logits may have a negative prompt's beside them."""

    def logits():
        dtype = draw(st.sampled_from([np.float32, np.float64]))
        return np.array(draw(st.lists(SCORE, min_size=8, max_size=8)), dtype).reshape(2, 4)

    return Batch(ROWS, logits(), None, draw(st.none() | st.builds(logits)))


@given(
    step=steps(),
    normalised=st.booleans(),
    penalty=st.sampled_from([1.0, 1.5]),
    bias=st.sampled_from([{}, {0: 1.0, 3: -np.inf}]),
)
def test_the_model_then_guidance_then_the_processors(step, normalised, penalty, bias):
    settings = Settings(
        repetition_penalty=penalty,
        logit_bias=bias,
        guidance_scale=1.0 if step.negative is None else 1.5,
        max_length=5,
    )
    problem = prepare([[1], [3]], settings)
    processors = pipeline(settings)
    before = step.logits.copy()
    run = dataclasses.replace(start(problem, None), normalised=normalised)
    scores = run.scores(step)
    found = scores.by_name
    expected = {"model": step.logits}
    if normalised:
        expected["log_softmax"] = log_softmax(step.logits.astype(np.float64))
    if step.negative is not None:
        expected["guidance_scale"] = guidance(step.logits, step.negative, scale=1.5)
    last = list(expected.values())[-1]
    for name, process in processors.items():
        last = expected[name] = process(ROWS, last)
    assert list(found) == list(expected)
    for name, stage in expected.items():
        np.testing.assert_array_equal(found[name], stage)
        assert found[name].dtype == stage.dtype
    np.testing.assert_array_equal(
        scores.final, score(ROWS, scores_before(expected), processors).final
    )
    assert scores.logits is step.logits
    np.testing.assert_array_equal(step.logits, before)
    for index in range(2):
        row = scores.row(index)
        assert list(row.by_name) == list(found)
        np.testing.assert_array_equal(row.final, scores.final[index])
        np.testing.assert_array_equal(scores.parts([1, 1])[index].final[0], row.final)


def scores_before(expected):
    """What the processors start from."""
    names = [name for name in ("model", "log_softmax", "guidance_scale") if name in expected]
    return expected[names[-1]]
