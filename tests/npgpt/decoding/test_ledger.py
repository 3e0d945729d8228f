"""A run's ledger: it explains the run, and the run can be repeated from it alone."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._decoders import generate, prepare, run_request
from npgpt.decoding._ledger import Answer, Ledger
from npgpt.decoding._request import seed_uniforms, uniform_shape
from npgpt.decoding._run import Decision
from npgpt.decoding._settings import Settings
from npgpt.errors import SettingError
from tests.helpers.toy_language_model import Toy, ToyReader, random_logits, random_vectors

VOCAB = 4
DECODERS = {
    "greedy": {},
    "sampling": {"do_sample": True, "top_k": 3, "num_return_sequences": 2},
    "guided": {"guidance_scale": 1.5},
    "contrastive search": {"penalty_alpha": 0.5, "top_k": 2},
    "drafted": {"do_sample": True, "num_assistant_tokens": 2, "num_return_sequences": 2},
    "looked up": {"prompt_lookup_num_tokens": 3},
}


@st.composite
def runs(draw):
    """A model, a draft model or None, and the arguments of `prepare`."""
    seed, name = draw(st.integers(0, 2**32)), draw(st.sampled_from(list(DECODERS)))
    token = st.integers(0, VOCAB - 1)
    prompts = draw(st.lists(st.lists(token, min_size=1, max_size=3), min_size=1, max_size=2))
    settings = Settings(
        **DECODERS[name],
        max_new_tokens=draw(st.integers(1, 4)),
        eos_token_id=draw(st.none() | token),
        repetition_penalty=draw(st.sampled_from([1.0, 1.5])),
        output_scores=True,
        output_ledger=True,
    )
    logits_of = random_logits(seed, VOCAB, banned=draw(st.sampled_from([0.0, 0.5])))
    shape = uniform_shape(settings, len(prompts), 4)
    uniforms = seed_uniforms(seed, *shape) if settings.draws else None
    draft = random_logits(seed + draw(st.integers(0, 1)), VOCAB) if name == "drafted" else None
    return logits_of, random_vectors(seed, 2), draft, (prompts, settings, uniforms)


def posed(problem):
    *_, draft, arguments = problem
    return prepare(*arguments, assistant=None if draft is None else ToyReader(draft))


def replayed(problem, ledger):
    return run_request(problem, ledger.read)


def without_ledger(result):
    return dataclasses.asdict(dataclasses.replace(result, ledger=None))


@given(problem=runs())
def test_a_run_can_be_repeated_without_the_model(problem):
    logits_of, hidden_of, _, (prompts, settings, uniforms) = problem
    read = ToyReader(logits_of, hidden_of=hidden_of)
    result = run_request(posed(problem), read)
    replay = replayed(posed(problem), result.ledger)
    np.testing.assert_equal(without_ledger(replay), without_ledger(result))
    np.testing.assert_equal(
        [dataclasses.asdict(decision) for decision in replay.ledger.decisions],
        [dataclasses.asdict(decision) for decision in result.ledger.decisions],
    )
    quiet = dataclasses.replace(settings, output_ledger=False)
    silent = run_request(posed((*problem[:3], (prompts, quiet, uniforms))), read)
    assert silent.ledger is None
    np.testing.assert_equal(without_ledger(silent), without_ledger(result))
    told = {(d.row, d.step): d for d in result.ledger.decisions}
    assert len(told) == len(result.ledger.decisions)
    for row, tokens in enumerate(result.new_tokens):
        for step, token in enumerate(tokens):
            decision = told.pop((row, step))
            before = tuple(result.sequences[row][: result.prompt_lengths[row] + step])
            np.testing.assert_array_equal(decision.stages["model"], logits_of(before))
            *_, last = decision.stages.values()
            np.testing.assert_array_equal(last, result.scores[row][step])
            assert decision.token == token
            drawn = None if uniforms is None else uniforms[row, step]
            assert decision.uniform == drawn
            ended = result.stopped[row] if step == len(tokens) - 1 else None
            assert decision.stopped == (None if ended == "no_candidates" else ended)
    left = {row for row, why in enumerate(result.stopped) if why == "no_candidates"}
    assert {row for row, _ in told} == left
    for decision in told.values():
        assert (decision.token, decision.stopped, decision.uniform) == (None, "no_candidates", None)


@given(problem=runs())
def test_the_answers_are_all_that_the_model_said(problem):
    """For every token read its hidden state; logits wherever they were asked for."""
    logits_of, hidden_of, *_ = problem
    read = ToyReader(logits_of, hidden_of=hidden_of)
    answers = run_request(posed(problem), read).ledger.answers
    asked = {}
    for past, new, keep in read.calls:
        for old, row in zip(past, new, strict=True):
            for end in range(1, len(row) + 1):
                known = asked.get((*old, *row[:end]), False)
                asked[(*old, *row[:end])] = known or len(row) - end < keep
    assert asked == {tokens: answer.logits is not None for tokens, answer in answers.items()}
    for tokens, answer in answers.items():
        assert answer.hidden.tolist() == hidden_of(tokens)
        assert answer.logits is None or answer.logits.tolist() == logits_of(tokens)


def test_a_model_without_hidden_states_is_replayed_without():
    settings = Settings(max_new_tokens=3, output_ledger=True)
    result = generate(Toy(random_logits(3, 4)), [[0, 1], [2]], settings)
    reading = result.ledger.read([[0, 1], [2]], None, keep=1)
    assert reading.hidden is None
    replay = replayed(prepare([[0, 1], [2]], settings), result.ledger)
    assert replay.sequences == result.sequences


def test_tokens_that_were_not_asked_about_are_an_error():
    settings = Settings(max_new_tokens=2, output_ledger=True)
    read = ToyReader(random_logits(3, 4))
    ledger = run_request(prepare([[0, 1], [2]], settings), read).ledger
    with pytest.raises(SettingError, match=r"no answer for \[0, 3\]; replay the problem"):
        ledger.read([[0, 3], [2]], None)
    with pytest.raises(SettingError, match=r"lacks logits for the tokens \(\(0, 1\),\)"):
        ledger.read([[0, 1]], None, keep=2)
    with pytest.raises(SettingError, match="go on from the state of an earlier reading"):
        ledger.read([[1]], read([[0]], None).state)
    other = dataclasses.replace(settings, max_new_tokens=4)
    with pytest.raises(SettingError, match="no answer for"):
        replayed(prepare([[0, 1], [2]], other), ledger)


def test_what_a_stage_ruled_out():
    stages = {
        "model": np.array([1.0, -math.inf, 3.0, 3.0, 2.0]),
        "top_k": np.array([-math.inf, -math.inf, 3.0, 3.0, 2.0]),
        "top_p": np.array([-math.inf, -math.inf, 3.0, 3.0, -math.inf]),
    }
    decision = Decision(row=0, step=0, stages=stages, token=2, stopped=None)
    assert [decision.candidates(name).tolist() for name in stages] == [
        [2, 3, 4, 0],
        [2, 3, 4],
        [2, 3],
    ]
    assert [decision.removed(name).tolist() for name in stages] == [[1], [0], [4]]


def test_rows_of_different_lengths_are_aligned_to_the_right():
    vectors = {(0,): 1.0, (0, 1): 2.0, (2,): 3.0}
    answers = {key: Answer(np.array([v]), np.array([-v])) for key, v in vectors.items()}
    ledger = Ledger((), answers, prepare([0], Settings(max_length=2)))
    reading = ledger.read([[0, 1], [2]], None, keep=2)
    assert reading.logits[..., 0].tolist() == [[1.0, 2.0], [0.0, 3.0]]
    assert reading.hidden[..., 0].tolist() == [[-1.0, -2.0], [0.0, -3.0]]
    state = reading.state.select([1, 0, 0]).rewind([1, 2, 1])
    again = ledger.read([[2], [], [1]], state)
    assert again.logits[[0, 2], 0, 0].tolist() == [3.0, 2.0]
