"""Guidance: the formula, and runs that are led by it."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._decoders import generate
from npgpt.decoding._request import seed_uniforms
from npgpt.decoding._scoring import guidance
from npgpt.decoding._settings import Settings
from npgpt.ops._softmax import log_softmax
from tests.helpers import slow_decoding as slow
from tests.helpers.toy_language_model import Toy, random_logits

LOGITS = st.sampled_from([-math.inf, -3.5, -1.0, 0.0, 0.25, 2.0, 30.0])
SCALES = st.sampled_from([0.25, 1.0, 1.5, 7.0])


def log_probabilities(z):
    """Exactly, and how far off float64 may be, as test_generate's `assert_log_probability`."""
    found = []
    for score in z:
        if score == -math.inf:
            found.append((None, 0.0))
            continue
        with localcontext() as context:
            context.prec = slow.DIGITS
            total = sum(slow.relative(z))
            log_total = (Decimal(total.numerator) / Decimal(total.denominator)).ln()
            exact = float(Decimal(score) - Decimal(max(z)) - log_total)
        slack = 2 * float(slow.rounding(z)) + 4 * slow.UNIT * (abs(exact) + math.log(len(z)))
        found.append((exact, slack))
    return found


@given(pairs=st.lists(st.tuples(LOGITS, LOGITS), min_size=1, max_size=6), scale=SCALES)
def test_is_the_formula(pairs, scale):
    """Each term carries its own error γ times; products and sum round once more each."""
    z, y = map(list, zip(*pairs, strict=True))
    got = guidance(np.array([z]), np.array([y]), scale=scale)[0].tolist()
    likely, against = log_probabilities(z), log_probabilities(y)
    for value, (one, error), (other, blur) in zip(got, likely, against, strict=True):
        if one is None:
            assert value == -math.inf
            continue
        terms = [scale * one, 0.0 if other is None else (1 - scale) * other]
        slack = scale * error + abs(1 - scale) * blur + 4 * slow.UNIT * sum(map(abs, terms))
        assert abs(value - sum(terms)) <= slack


@given(pairs=st.lists(st.tuples(LOGITS, LOGITS), min_size=1, max_size=6))
def test_a_scale_of_one_is_no_guidance(pairs):
    z, y = (np.array([side]) for side in zip(*pairs, strict=True))
    np.testing.assert_array_equal(guidance(z, y, scale=1.0), log_softmax(z))


def test_float32_is_widened():
    z, y = np.array([[0.1, 2.0]], np.float32), np.array([[1.3, 0.0]], np.float32)
    wide = guidance(z.astype(np.float64), y.astype(np.float64), scale=1.5)
    assert guidance(z, y, scale=1.5).dtype == np.float64
    np.testing.assert_array_equal(guidance(z, y, scale=1.5), wide)


@st.composite
def runs(draw):
    """A model, prompts, negative prompts (of each, one for all, or none), settings, uniforms."""
    vocab, most = draw(st.integers(2, 5)), draw(st.integers(1, 4))
    text = st.lists(st.integers(0, vocab - 1), min_size=1, max_size=3)
    prompts = draw(st.lists(text, min_size=1, max_size=3))
    many = st.lists(text, min_size=len(prompts), max_size=len(prompts))
    negative = draw(st.none() | text | many)
    given_ = {
        "max_new_tokens": most,
        "eos_token_id": draw(st.lists(st.integers(0, vocab - 1), max_size=1)),
        "repetition_penalty": draw(st.sampled_from([1.0, 1.5])),
    }
    if draw(st.booleans()):
        given_ |= {"do_sample": True, "num_return_sequences": draw(st.integers(1, 2))}
    seed = draw(st.integers(0, 2**32))
    logits_of = random_logits(seed, vocab, banned=draw(st.sampled_from([0.0, 0.3])))
    rows = len(prompts) * given_.get("num_return_sequences", 1)
    return logits_of, prompts, negative, given_, draw(SCALES), seed_uniforms(seed, rows, most)


def negative_of(negative, prompts, place):
    if negative is None:
        return prompts[place][-1:]
    return negative[place % len(negative)] if isinstance(negative[0], list) else negative


@given(problem=runs())
def test_a_row_is_led_away_from_its_negative_prompt_with_the_same_tokens(problem):
    """A guided run is a plain one of a model that is guided itself, row by row."""
    logits_of, prompts, negative, given_, scale, uniforms = problem
    if scale == 1:
        negative = None
    settings = Settings(**given_, guidance_scale=scale, output_scores=True)
    drawn = uniforms if settings.draws else None
    toy = Toy(logits_of)
    result = generate(toy, prompts, settings, drawn, negative_prompt=negative)
    plainly = Settings(**{**given_, "num_return_sequences": 1}, output_scores=True)
    for row, place in enumerate(result.prompts):
        prompt, against = prompts[place], negative_of(negative, prompts, place)

        def led(history, prompt=prompt, against=against):
            if scale == 1:
                return logits_of(history)
            other = logits_of((*against, *history[len(prompt) :]))
            pair = np.array([logits_of(history)]), np.array([other])
            return guidance(*pair, scale=scale)[0]

        alone = generate(Toy(led), prompt, plainly, None if drawn is None else drawn[[row]])
        assert result.sequences[row] == alone.sequences[0]
        assert result.stopped[row] == alone.stopped[0]
        np.testing.assert_array_equal(result.scores[row], alone.scores[0])
        for at, token in enumerate(result.new_tokens[row]):
            own = log_softmax(np.array(logits_of((*prompt, *result.new_tokens[row][:at]))))
            assert result.logprobs[row][at] == own[token]


def test_both_contexts_grow_by_the_same_tokens():
    toy = Toy(lambda history: np.eye(6)[history[-1] + 1].tolist())
    settings = Settings(guidance_scale=2.0, max_length=5, eos_token_id=2)
    generate(toy, [[0], [3, 2]], settings, negative_prompt=[[5, 0], [2]])
    assert toy.calls == [
        ((0,), (3, 2)),
        ((5, 0), (2,)),
        ((0, 1), (3, 2, 3)),
        ((5, 0, 1), (2, 3)),
        ((3, 2, 3, 4),),
        ((2, 3, 4),),
    ]


def test_an_assistant_is_led_away_from_the_same_prompt():
    def counting(history):
        return np.eye(6)[(history[-1] + 1) % 6].tolist()

    settings = Settings(guidance_scale=2.0, max_length=6, num_assistant_tokens=2)
    model, assistant = Toy(counting), Toy(counting)
    result = generate(model, [[0]], settings, negative_prompt=[[5, 0]], assistant=assistant)
    assert result.sequences == [[0, 1, 2, 3, 4, 5]]
    assert ((5, 0),) in assistant.calls
    assert ((0,),) in assistant.calls


@pytest.mark.parametrize("column", [0, 1])
def test_what_only_the_negative_prompt_rules_out_stays_finite(column):
    negative = np.array([[0.0, 0.0]])
    negative[0, column] = -math.inf
    got = guidance(np.array([[0.0, 0.0]]), negative, scale=3.0)[0]
    assert got[column] == 3 * log_softmax(np.zeros(2))[0]


def test_what_the_prompt_rules_out_stays_so_however_large_the_scale():
    got = guidance(np.array([[0.0, -math.inf]]), np.array([[0.0, -1000.0]]), scale=1e308)
    assert got[0].tolist() == [0.0, -math.inf]
