"""Contrastive search against its definition, and what it asks of the model."""

import math

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from npgpt.decoding._contrastive import contrast, contrastive_search, directions, top_tokens
from npgpt.decoding._decoders import generate, prepare, run_request, start
from npgpt.decoding._settings import Settings
from npgpt.errors import NonFiniteError, SettingError
from tests.helpers import slow_contrastive
from tests.helpers import slow_decoding as slow
from tests.helpers.toy_language_model import Toy, ToyReader, random_logits, random_vectors

SPELLING = ["a", "b", "ab", "ba", "", "c"]  # of tokens 0 to 5


def spell(ids):
    return "".join(SPELLING[token] for token in ids)


@st.composite
def runs(draw):
    """A toy model, prompts and settings of a run of a few steps."""
    vocab, most = draw(st.integers(2, 6)), draw(st.integers(1, 3))
    token = st.integers(0, vocab - 1)
    prompts = draw(st.lists(st.lists(token, min_size=1, max_size=3), min_size=1, max_size=2))
    given_ = {
        "penalty_alpha": draw(st.sampled_from([0.125, 0.5, 0.6, 1.0])),
        "top_k": draw(st.integers(2, vocab + 1)),
        "max_new_tokens": most,
        "eos_token_id": draw(st.lists(token, max_size=1)),
        "min_new_tokens": draw(st.integers(0, most)),
        "repetition_penalty": draw(st.sampled_from([1.0, 1.5])),
        "stop_strings": draw(st.lists(st.sampled_from(["ab", "ba", "aa"]), max_size=1)),
    }
    seed = draw(st.integers(0, 2**32))
    banned = draw(st.sampled_from([0.0, 0.3, 0.7]))
    hidden_of = random_vectors(seed, draw(st.integers(1, 4)))
    return random_logits(seed, vocab, banned=banned), hidden_of, prompts, given_


def run(logits_of, hidden_of, prompts, given_, **more):
    read = ToyReader(logits_of, hidden_of=hidden_of)
    settings = Settings(**given_, output_scores=True)
    return run_request(prepare(prompts, settings, decode=spell, **more), read)


def contrasts(scores):
    return {token: score for token, score in enumerate(scores.tolist()) if score > -math.inf}


@given(problem=runs())
def test_equals_the_definition(problem):
    logits_of, hidden_of, prompts, given_ = problem
    result = run(*problem)
    assert result.decoder == "contrastive search"
    for row, prompt in enumerate(prompts):
        try:
            tokens, reason, exact = slow_contrastive.decode_row(
                logits_of,
                hidden_of,
                prompt,
                {**given_, "eos": given_["eos_token_id"]},
                spell=SPELLING,
            )
        except slow.UndecidedError:
            reject()
        assert (result.sequences[row], result.stopped[row]) == (tokens, reason)
        for at, (scores, step) in enumerate(zip(result.scores[row], exact, strict=True)):
            before = tokens[: len(prompt) + at]
            z = slow.processed(before, len(prompt), logits_of(tuple(before)), given_)
            slack = slow_contrastive.rounding(z, len(hidden_of((0,))))
            assert contrasts(scores).keys() == step.keys()
            for token, score in contrasts(scores).items():
                assert abs(score - step[token]) <= slack


@given(problem=runs())
def test_reads_each_candidate_once_and_nothing_else(problem):
    logits_of, hidden_of, prompts, given_ = problem
    read = ToyReader(logits_of, hidden_of=hidden_of)
    settings = Settings(**given_)
    told = list(contrastive_search(start(prepare(prompts, settings, decode=spell), read)))
    rows = [tuple(prompt) for prompt in prompts]
    nothing = tuple(() for _ in rows)
    assert read.calls[0] == (nothing, tuple(rows), 1)
    calls = iter(read.calls[1:])
    for choices in told:
        asked = [
            (rows[choice.row.place], (token,))
            for choice in choices
            for token in sorted(
                contrasts(choice.scores),
                key=lambda token: (
                    -processed(problem, prompts, rows, choice.row.place)[token],
                    token,
                ),
            )
        ]
        if asked:
            past, new, keep = next(calls)
            assert (list(zip(past, new, strict=True)), keep) == (asked, 1)
        for choice in choices:
            if choice.token is not None:
                rows[choice.row.place] += (choice.token,)
    assert next(calls, None) is None


def processed(problem, prompts, rows, row):
    logits_of, _, _, given_ = problem
    plainly = {**given_, "eos": given_["eos_token_id"]}
    return slow.processed(rows[row], len(prompts[row]), logits_of(rows[row]), plainly)


@given(problem=runs())
def test_a_row_alone_read_token_by_token_is_the_same(problem):
    logits_of, hidden_of, prompts, given_ = problem
    together = run(*problem)
    toy, settings = Toy(logits_of, hidden_of=hidden_of), Settings(**given_, output_scores=True)
    for row, prompt in enumerate(prompts):
        assert_same(generate(toy, prompt, settings, decode=spell), 0, together, row)


def assert_same(one, index, other, row):
    assert one.sequences[index] == other.sequences[row]
    assert one.stopped[index] == other.stopped[row]
    assert one.logprobs[index] == other.logprobs[row]
    np.testing.assert_array_equal(one.scores[index], other.scores[row])


@given(problem=runs(), shift=st.integers(-64, 64), power=st.integers(-900, 900))
def test_shifted_logits_and_scaled_hidden_states_change_nothing(problem, shift, power):
    """Exact operations, so equal in every bit; the repetition penalty depends on signs."""
    logits_of, hidden_of, prompts, given_ = problem
    given_ = {**given_, "repetition_penalty": 1.0}
    plain = run(logits_of, hidden_of, prompts, given_)
    moved = run(
        lambda history: [z + shift for z in logits_of(history)],
        lambda history: [-h * 2.0**power for h in hidden_of(history)],
        prompts,
        given_,
    )
    for row in range(len(prompts)):
        assert_same(moved, row, plain, row)


@given(problem=runs(), data=st.data())
def test_the_order_of_the_vocabulary_matters_to_ties_only(problem, data):
    logits_of, hidden_of, prompts, given_ = problem
    vocab = len(logits_of((0,)))
    given_ = {**given_, "stop_strings": (), "repetition_penalty": 1.0}

    def untied(history):
        return [z - token * 2.0**-20 for token, z in enumerate(logits_of(history))]

    new = data.draw(st.permutations(range(vocab)))  # the new name of each token
    old = [new.index(token) for token in range(vocab)]

    def renamed_logits(history):
        z = untied(tuple(old[token] for token in history))
        return [z[old[token]] for token in range(vocab)]

    def renamed_vectors(history):
        return hidden_of(tuple(old[token] for token in history))

    renamed = {**given_, "eos_token_id": [new[token] for token in given_["eos_token_id"]]}
    rows = [[new[token] for token in prompt] for prompt in prompts]
    plainly = {**given_, "eos": given_["eos_token_id"]}
    try:
        plain = [slow_contrastive.decode_row(untied, hidden_of, p, plainly) for p in prompts]
    except slow.UndecidedError:
        reject()
    result = run(renamed_logits, renamed_vectors, rows, renamed)
    assert [[old[t] for t in row] for row in result.sequences] == [row[0] for row in plain]


@given(problem=runs(), kind=st.sampled_from(["alpha", "zero", "alike"]))
def test_is_greedy_where_nothing_counts_but_the_logits(problem, kind):
    """α next to 0, hidden states that are all zero, or all the same: then only p decides.

    Logits are quarters less some 2^-20, far enough apart that no two p are equal.
    """
    logits_of, hidden_of, prompts, given_ = problem
    given_ = {**given_, "repetition_penalty": 1.0, "penalty_alpha": 0.5}

    def untied(history):
        return [z - token * 2.0**-20 for token, z in enumerate(logits_of(history))]

    if kind == "alpha":
        given_["penalty_alpha"] = 5e-324
    else:
        hidden_of = {"zero": lambda h: [0.0, 0.0], "alike": lambda h: [1.0 + len(h), 0.0]}[kind]
    contrastive = run(untied, hidden_of, prompts, given_)
    plain = {name: given_[name] for name in given_ if name not in ("penalty_alpha", "top_k")}
    greedy = generate(Toy(untied), prompts, Settings(**plain), decode=spell)
    assert contrastive.sequences == greedy.sequences
    assert (contrastive.stopped, contrastive.logprobs) == (greedy.stopped, greedy.logprobs)


@pytest.mark.parametrize("likelier", [0, 1])
def test_among_equal_contrasts_the_likelier_token_wins(likelier):
    """p = 1 and cosine 1 against p = 0 (−800 underflows) and cosine 0, at α = 1/2: both 0."""

    def logits_of(history):
        return [0.0, -800.0] if likelier == 0 else [-800.0, 0.0]

    def hidden_of(history):
        return [1.0, 0.0] if len(history) == 1 or history[-1] == likelier else [0.0, 1.0]

    settings = {"penalty_alpha": 0.5, "top_k": 2, "max_new_tokens": 1}
    result = run(logits_of, hidden_of, [[0]], settings)
    assert result.scores[0][0].tolist() == [0.0, 0.0]
    assert result.new_tokens == [[likelier]]


@pytest.mark.parametrize("vocab", [3, 5, 7, 16])
def test_among_equal_candidates_the_lower_id_wins(vocab):
    """Tokens alike in logit and in hidden state, which one product for all would tell apart."""

    def hidden_of(history):
        return np.random.default_rng(len(history)).standard_normal(97).tolist()

    settings = {"penalty_alpha": 0.5, "top_k": vocab, "max_new_tokens": 5}
    result = run(lambda history: [0.1] * vocab, hidden_of, [[1]], settings)
    assert result.new_tokens == [[0] * 5]


def test_exactly_top_k_candidates_are_weighed():
    settings = {"penalty_alpha": 1.0, "top_k": 2, "max_new_tokens": 1}
    logits = [1.0, -math.inf, 1.0, 1.0, 2.0]
    result = run(lambda history: logits, lambda history: [1.0], [[0]], settings)
    assert contrasts(result.scores[0][0]).keys() == {4, 0}


def test_a_step_is_computed_when_it_is_asked_for():
    read = ToyReader(random_logits(1, 3), hidden_of=random_vectors(1, 2))
    settings = Settings(penalty_alpha=0.5, top_k=2, max_new_tokens=3)
    stream = contrastive_search(start(prepare([0], settings), read))
    assert read.calls == []
    for done, _ in enumerate(stream, start=1):
        assert len(read.calls) == done + 1


SETTINGS = Settings(penalty_alpha=0.5, top_k=2, max_new_tokens=2)


def test_a_model_without_hidden_states_is_refused():
    with pytest.raises(SettingError, match=r"no hidden states.*leave penalty_alpha out"):
        generate(Toy(random_logits(1, 3)), [0, 1], SETTINGS)


def test_hidden_states_of_the_wrong_shape_are_refused():
    read = ToyReader(random_logits(1, 3), hidden_of=random_vectors(1, 2))

    def last_alone(rows, state, *, keep=1, hidden=True):
        reading = read(rows, state, keep=keep, hidden=hidden)
        return reading._replace(hidden=reading.hidden[:, -1:])

    with pytest.raises(SettingError, match=r"\(1, 1, 2\) for 1 rows of up to 2 tokens"):
        list(contrastive_search(start(prepare([0, 1], SETTINGS), last_alone)))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(("length", "step"), [(1, 0), (3, 1)])
def test_hidden_states_that_are_not_finite_name_row_and_step(bad, length, step):
    def hidden_of(history):
        return [bad if len(history) == length else 1.0]

    prompts = [[0, 0], [0]] if length == 1 else [[0], [0, 0]]
    read = ToyReader(random_logits(1, 3), hidden_of=hidden_of)
    row = 0 if length == 1 else 1
    with pytest.raises(NonFiniteError, match=f"row {row} at step 0 is not finite"):
        list(contrastive_search(start(prepare(prompts, SETTINGS), read)))
    assert len(read.calls) == 1 + step


def test_the_ledger_explains_the_choice():
    given_ = {"penalty_alpha": 0.5, "top_k": 2, "max_new_tokens": 3, "repetition_penalty": 1.5}
    model = random_logits(5, 4), random_vectors(5, 3)
    result = run(*model, [[0], [1, 2]], {**given_, "output_ledger": True})
    assert len(result.ledger.decisions) == 6
    for decision in result.ledger.decisions:
        assert list(decision.stages) == ["model", "repetition_penalty", "contrastive"]
        scores = decision.stages["contrastive"]
        np.testing.assert_array_equal(scores, result.scores[decision.row][decision.step])
        assert decision.token == int(scores.argmax())
        before = decision.candidates("repetition_penalty")[:2].tolist()
        assert sorted(before) == np.flatnonzero(scores > -np.inf).tolist()


VECTORS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5)


@given(vector=VECTORS)
def test_directions_have_length_one_and_keep_the_ratios(vector):
    """Each component within (size/2 + 4) units, as `slow_contrastive.rounding` has it."""
    found = directions(np.array(vector))
    if not any(vector):
        assert found.tolist() == vector
        return
    exact = [slow_contrastive.cosine(vector, axis) for axis in np.eye(len(vector)).tolist()]
    for got, truth in zip(found.tolist(), exact, strict=True):
        assert abs(got - truth) <= (len(vector) / 2 + 4) * slow.UNIT * abs(truth) + 5e-324


@given(
    scores=st.lists(st.sampled_from([-math.inf, 0.0, 1.0, 2.0, math.inf]), min_size=1, max_size=7),
    count=st.integers(1, 8),
)
def test_candidates_are_the_first_of_all_in_order(scores, count):
    order = sorted(range(len(scores)), key=lambda token: (-scores[token], token))
    expected = [token for token in order[:count] if scores[token] > -math.inf]
    assert top_tokens(np.array(scores), count) == expected


def test_the_most_similar_token_counts():
    text = directions(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    looks = directions(np.array([[-2.0, 0.0], [0.0, -3.0]]))
    assert contrast(np.array([0.5, 0.5]), looks, text, alpha=1.0).tolist() == [-1.0, 0.0]
