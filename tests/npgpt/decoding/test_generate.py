"""Whole runs over toy language models, against decoding written down plainly."""

import math

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from scipy.stats import chisquare

from npgpt.decoding._decoders import generate
from npgpt.decoding._request import seed_uniforms
from npgpt.decoding._settings import Settings
from npgpt.errors import ContextLengthError, NonFiniteError, PromptError, SettingError
from tests.helpers import slow_decoding as slow
from tests.helpers.toy_language_model import Toy, random_logits

FALSE_ALARM = 1e-6
SPELLING = ["a", "b", "ab", "ba", "", "c"]  # of tokens 0 to 5


def spell(ids):
    return "".join(SPELLING[token] for token in ids)


@st.composite
def runs(draw, *, may_sample=True):
    """A toy model, prompts, settings and uniforms of a run of a few steps."""
    vocab = draw(st.integers(2, 6))
    token = st.integers(0, vocab - 1)
    prompts = draw(st.lists(st.lists(token, min_size=1, max_size=3), min_size=1, max_size=4))
    most = draw(st.integers(1, 5))
    longest = max(map(len, prompts))
    given_ = draw(st.sampled_from([{"max_new_tokens": most}, {"max_length": longest + most}]))
    given_["eos_token_id"] = draw(st.lists(token, max_size=2, unique=True))
    given_["min_new_tokens"] = draw(st.integers(0, min(3, most)))
    given_["min_length"] = draw(st.integers(0, min(5, most + 1)))
    given_["repetition_penalty"] = draw(st.sampled_from([0.5, 1.0, 1.5]))
    given_["stop_strings"] = draw(st.lists(st.sampled_from(["ab", "ba", "aa", "cb"]), max_size=2))
    if may_sample and draw(st.booleans()):
        given_["do_sample"] = True
        given_["temperature"] = draw(st.sampled_from([0.0, 0.5, 1.0, 3.0]))
        given_["top_k"] = draw(st.none() | st.integers(1, 6))
        given_["top_p"] = draw(st.none() | st.sampled_from([0.25, 0.5, 0.75, 0.9, 1.0]))
    steps = most + longest
    seed = draw(st.integers(0, 2**32))
    logits_of = random_logits(seed, vocab, banned=draw(st.sampled_from([0.0, 0.3, 0.7])))
    return logits_of, prompts, given_, seed_uniforms(seed, len(prompts), steps)


def run(logits_of, prompts, given_, uniforms, *, dtype=np.float64, vocab_size=None):
    settings = Settings(**given_, output_scores=True)
    return generate(
        Toy(logits_of, dtype),
        prompts,
        settings,
        uniforms if settings.draws else None,
        decode=spell,
        vocab_size=vocab_size,
    )


@given(problem=runs())
def test_equals_decoding_written_down_plainly(problem):
    logits_of, prompts, given_, uniforms = problem
    result = run(*problem)
    plainly = {**given_, "eos": given_["eos_token_id"]}
    assert result.prompt_lengths == [len(prompt) for prompt in prompts]
    for row, prompt in enumerate(prompts):
        try:
            tokens, reason, scores = slow.decode_row(
                logits_of, prompt, plainly, uniforms=uniforms[row], spell=SPELLING
            )
        except slow.UndecidedError:
            reject()
        assert (result.sequences[row], result.stopped[row]) == (tokens, reason)
        assert [step.tolist() for step in result.scores[row]] == scores
        for at, token in enumerate(result.new_tokens[row]):
            z = logits_of(tuple(tokens[: len(prompt) + at]))
            assert_log_probability(result.logprobs[row][at], z, token)


def assert_log_probability(got, z, token):
    """The model's own, before any processor, whose rounding `slow.rounding` bounds twice over:

    once in the gap z - max, once in log of the sum; the logarithm and the difference add a unit
    in the last place of numbers no larger than |log p| + log n.
    """
    exact = z[token] - max(z) - math.log(sum(slow.relative(z)))
    slack = 2 * float(slow.rounding(z)) + 4 * slow.UNIT * (abs(exact) + math.log(len(z)))
    assert abs(got - exact) <= slack


@given(problem=runs(), dtype=st.sampled_from([np.float32, np.float64]), data=st.data())
def test_a_row_does_not_depend_on_the_others_nor_on_their_order(problem, dtype, data):
    logits_of, prompts, given_, uniforms = problem
    together = run(*problem, dtype=dtype)
    order = data.draw(st.permutations(range(len(prompts))))
    reordered = [prompts[row] for row in order]
    shuffled = run(logits_of, reordered, given_, uniforms[order], dtype=dtype)
    for place, row in enumerate(order):
        alone = run(logits_of, prompts[row], given_, uniforms[row : row + 1], dtype=dtype)
        for other, index in ((alone, 0), (shuffled, place)):
            assert other.sequences[index] == together.sequences[row]
            assert other.stopped[index] == together.stopped[row]
            assert other.logprobs[index] == together.logprobs[row]
            for one, two in zip(other.scores[index], together.scores[row], strict=True):
                np.testing.assert_array_equal(one, two)


@given(problem=runs(), shift=st.integers(-64, 64))
def test_a_constant_added_to_all_logits_changes_nothing(problem, shift):
    """Logits in quarters and temperatures that keep shifted ones exact: equal in every bit.

    The repetition penalty is left out: it does depend on the sign of a logit.
    """
    logits_of, prompts, given_, uniforms = problem
    given_ = {**given_, "repetition_penalty": 1.0}
    if given_.get("temperature") == 3.0:
        given_["temperature"] = 2.0
    plain = run(logits_of, prompts, given_, uniforms)
    shifted = run(
        lambda history: [z + shift for z in logits_of(history)], prompts, given_, uniforms
    )
    assert shifted.sequences == plain.sequences
    assert shifted.stopped == plain.stopped
    assert shifted.logprobs == plain.logprobs


@given(problem=runs(may_sample=False))
def test_top_k_of_one_and_temperature_0_are_greedy(problem):
    logits_of, prompts, given_, uniforms = problem
    distinct = 2.0**-20  # a lower id wins a tie, as argmax has it; top_k keeps ties

    def untied(history):
        return [z - token * distinct for token, z in enumerate(logits_of(history))]

    # A penalty may bring two different logits together; then they are a tie after all.
    given_ = {**given_, "repetition_penalty": 1.0}
    greedy = run(untied, prompts, given_, None)
    for sampling in ({"temperature": 0}, {"temperature": 1e-300}, {"top_k": 1}, {"top_p": 1e-9}):
        same = run(untied, prompts, {**given_, "do_sample": True, **sampling}, uniforms)
        assert (same.sequences, same.stopped) == (greedy.sequences, greedy.stopped)
        assert same.logprobs == greedy.logprobs


@given(problem=runs(), more=st.integers(1, 3))
def test_columns_past_the_vocabulary_are_never_chosen(problem, more):
    logits_of, prompts, given_, uniforms = problem
    vocab = len(logits_of((0,)))
    plain = run(*problem)
    padded = run(
        lambda history: [*logits_of(history), *[9.0] * more],
        prompts,
        given_,
        uniforms,
        vocab_size=vocab,
    )
    assert (padded.sequences, padded.stopped) == (plain.sequences, plain.stopped)


def test_the_distribution_of_whole_texts():
    """Chi-squared over every text of two tokens; a right sampler fails one seed in a million."""
    count, given_ = 4000, {"do_sample": True, "temperature": 2.0, "top_k": 3, "top_p": 0.75}
    after = [
        [1.0, 0.0, 0.5, -0.5],
        [0.0, 0.0, 3.0, 2.0],
        [0.0, 4.0, 0.0, 4.0],
        [-1.0, 1.0, 0.0, 0.5],
    ]

    def logits_of(history):
        return after[history[-1]]

    def exact(history):
        weights = slow.relative(slow.processed(history, 1, logits_of(history), given_))
        return [weight / sum(weights) for weight in weights]

    chances = {
        (first, second): float(exact((0,))[first] * exact((0, first))[second])
        for first in range(4)
        for second in range(4)
    }
    result = generate(
        Toy(logits_of),
        [[0]] * count,
        Settings(**given_, max_new_tokens=2),
        seed_uniforms(20240229, count, 2),
    )
    texts = [tuple(new) for new in result.new_tokens]
    possible = [text for text, chance in chances.items() if chance]
    assert 4 <= len(possible) < len(chances)
    assert set(texts) <= set(possible)
    counts = [texts.count(text) for text in possible]
    expected = [chances[text] * count for text in possible]
    assert chisquare(counts, expected).pvalue > FALSE_ALARM


def refuse(rows, state):
    raise AssertionError("something was computed")


@pytest.mark.parametrize(
    ("tokens", "settings", "more", "error"),
    [
        ([], Settings(max_length=9), {}, PromptError),
        ([[1], []], Settings(max_length=9), {}, PromptError),
        ([7], Settings(max_length=9), {}, PromptError),
        ([1], Settings(max_length=9, eos_token_id=7), {}, SettingError),
        ([1, 1], Settings(max_length=2), {}, SettingError),
        ([1, 1], Settings(), {}, SettingError),
        ([1, 1], Settings(max_new_tokens=9), {"context_length": 10}, ContextLengthError),
        ([1, 1], Settings(max_length=9, do_sample=True), {}, SettingError),
        ([1], Settings(max_length=9), {"uniforms": [[0.5] * 8]}, SettingError),
        ([1], Settings(max_length=9, stop_strings="a"), {}, SettingError),
    ],
)
def test_a_bad_run_is_refused_before_anything_is_computed(tokens, settings, more, error):
    with pytest.raises(error):
        generate(refuse, tokens, settings, vocab_size=7, **more)


def test_nan_names_the_row_and_the_step():
    def logits_of(history):
        return [0.0, math.nan if len(history) == 3 else -1.0]

    with pytest.raises(NonFiniteError, match="NaN for token 1, in row 1 at step 1"):
        generate(Toy(logits_of), [[0], [0, 0]], Settings(max_new_tokens=3))
