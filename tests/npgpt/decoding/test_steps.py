"""What the loop asks of `next_step`, and what it says while it runs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._decoders import generate, prepare, stream
from npgpt.decoding._generation import of_choices
from npgpt.decoding._language_model import Step, batched
from npgpt.decoding._request import seed_uniforms
from npgpt.decoding._settings import Settings
from tests.helpers.toy_language_model import Toy, ToyState, random_logits

PROMPTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=4)


@st.composite
def problems(draw):
    """A toy model of four tokens, two of them eos, and what `prepare` takes."""
    seed, most = draw(st.integers(0, 2**32)), draw(st.integers(1, 6))
    prompts, draws = draw(PROMPTS), draw(st.booleans())
    settings = Settings(do_sample=draws, max_new_tokens=most, eos_token_id=(2, 3))
    uniforms = seed_uniforms(seed, len(prompts), most) if draws else None
    logits_of = random_logits(seed, 4, banned=draw(st.sampled_from([0.0, 0.5])))
    return Toy(logits_of), (prompts, settings, uniforms)


@given(problem=problems())
def test_each_step_asks_about_the_running_rows_only(problem):
    toy, arguments = problem
    result = generate(toy, *arguments)
    rows = list(zip(result.sequences, result.prompt_lengths, result.stopped, strict=True))
    for step, histories in enumerate(toy.calls):
        asked = [
            tokens[: length + step]
            for tokens, length, stopped in rows
            # A row without candidates was asked about once more than it has new tokens.
            if len(tokens) - length + (stopped == "no_candidates") > step
        ]
        assert [list(history) for history in histories] == asked
    longest = max(len(tokens) - length + (why == "no_candidates") for tokens, length, why in rows)
    assert len(toy.calls) == longest


@given(problem=problems())
def test_the_steps_add_up_to_the_result(problem):
    toy, arguments = problem
    result = generate(toy, *arguments)
    told = list(stream(prepare(*arguments), batched(toy)))
    assert of_choices(prepare(*arguments), told) == result
    running = set(range(len(result.sequences)))
    for choices in told:
        assert {choice.row.place for choice in choices} == running
        running -= {choice.row.place for choice in choices if choice.stopped is not None}
    assert not running


@given(problem=problems())
def test_a_step_is_computed_when_it_is_asked_for(problem):
    toy, arguments = problem
    told = stream(prepare(*arguments), batched(toy))
    assert toy.calls == []
    for done, _ in enumerate(told, start=1):
        assert len(toy.calls) == done


def test_the_state_is_left_alone_while_no_row_ends():
    class Untouchable(ToyState):
        def select(self, rows):
            raise AssertionError("nothing to select")

    def next_step(rows, state):
        return Step(np.zeros((len(rows), 2)), None, Untouchable(()))

    result = generate(next_step, [[0], [1, 1]], Settings(max_new_tokens=3))
    assert result.new_tokens == [[0] * 3] * 2


def test_scores_outlive_the_array_they_came_in():
    reused = np.empty((1, 2))

    def next_step(rows, state):
        reused[:] = [0.0, len(rows[0])] if state is None else [7.0, 8.0]
        return Step(reused, None, ToyState(((),)))

    result = generate(next_step, [0], Settings(max_new_tokens=2, output_scores=True))
    assert result.scores is not None
    np.testing.assert_array_equal(result.scores[0], [[0.0, 1.0], [7.0, 8.0]])


def test_without_output_scores_there_are_none():
    toy = Toy(random_logits(1, 3))
    assert generate(toy, [0], Settings(max_new_tokens=2)).scores is None
