import math

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from npgpt.decoding._processors.pipeline import pipeline
from npgpt.decoding._scoring import Row, score
from npgpt.decoding._settings import Settings
from npgpt.errors import SettingError
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import id_sets, phrases, rows_and_scores


def halved(rows, scores):
    return scores / 2


def less_by_length(rows, scores):
    return scores - np.array([[len(row.tokens) / 4] for row in rows])


def even(prompt, tokens):
    return [2 * prompt % 3, *{token - token % 2 for token in tokens}]


def diversity(rows, scores):
    return scores - 0.5 * np.arange(scores.shape[1])


# In the order in which they must act, each with values that are not neutral.
PROCESSORS = {
    "sequence_bias": {(0, 1): 2.0, (0,): -1.5},
    "logit_bias": {0: -0.5},
    "repetition_penalty": 1.5,
    "frequency_penalty": 0.25,
    "presence_penalty": 0.5,
    "no_repeat_ngram_size": 2,
    "bad_words_ids": [[1, 0]],
    "min_length": 3,
    "min_new_tokens": 2,
    "prefix_allowed_tokens_fn": even,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": [0],
    "exponential_decay_length_penalty": (0, 1.5),
    "suppress_tokens": [1],
    "begin_suppress_tokens": [0],
    "logits_processor": [halved, less_by_length],
    "temperature": 0.5,
    "top_h": 0.75,
    "top_k": 3,
    "top_p": 0.9,
    "min_p": 0.125,
    "typical_p": 0.9,
    "epsilon_cutoff": 0.125,
    "eta_cutoff": 0.25,
}
NEUTRAL = {
    "sequence_bias": {},
    "logit_bias": {},
    "repetition_penalty": 1.0,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "no_repeat_ngram_size": None,
    "bad_words_ids": [],
    "min_length": 0,
    "min_new_tokens": 0,
    "forced_eos_token_id": [],
    "exponential_decay_length_penalty": (2, 1.0),
    "suppress_tokens": [],
    "begin_suppress_tokens": [],
    "logits_processor": [],
    "temperature": 1.0,
    "top_h": 1.0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}


def names_of(chosen):
    for name in chosen:
        if name == "logits_processor":
            yield from ("logits_processor[0]", "logits_processor[1]")
        else:
            yield name


@given(chosen=st.sets(st.sampled_from(list(PROCESSORS))))
def test_each_setting_brings_its_processor_in_the_stated_order(chosen):
    given_ones = {name: value for name, value in PROCESSORS.items() if name in chosen}
    settings = Settings(do_sample=True, eos_token_id=0, **given_ones)
    assert list(pipeline(settings)) == list(names_of(given_ones))


def test_all_of_them_are_in_the_stated_order():
    settings = Settings(do_sample=True, eos_token_id=0, **PROCESSORS)
    names = list(pipeline(settings, vocab_size=5, diversity=diversity))
    expected = ["vocab_size", *names_of(PROCESSORS)]
    expected.insert(expected.index("repetition_penalty"), "diversity_penalty")
    assert names == expected


def test_neutral_settings_bring_nothing():
    assert pipeline(Settings()) == {}
    assert pipeline(Settings(do_sample=True, eos_token_id=0, **NEUTRAL)) == {}
    greedy = Settings(do_sample=True, temperature=0, top_k=3, top_p=0.5, min_p=0.5)
    assert pipeline(greedy) == {}, "nothing is drawn"
    contrastive = Settings(penalty_alpha=0.5, top_k=4)
    assert pipeline(contrastive) == {}, "top_k is contrastive search's own there"


def test_without_an_eos_there_is_none_to_hold_back_or_bring_on():
    decay = (1, 2.0)
    assert pipeline(Settings(min_length=3, exponential_decay_length_penalty=decay)) == {}
    assert pipeline(Settings(min_new_tokens=3)) == {}


@given(problem=rows_and_scores(), data=st.data())
def test_equals_the_plain_definitions_one_after_another(problem, data):
    rows, scores = problem
    scores = scores.astype(np.float64)
    vocab = scores.shape[1]
    ids, eos = st.integers(0, vocab - 1), data.draw(id_sets(vocab))
    halves = st.integers(-4, 4).map(lambda halves: halves / 2)
    values = {
        "sequence_bias": st.dictionaries(phrases(vocab), halves, max_size=3),
        "logit_bias": st.dictionaries(ids, halves, max_size=3),
        "repetition_penalty": st.sampled_from([0.5, 1.5, 2.0]),
        "frequency_penalty": halves,
        "presence_penalty": halves,
        "no_repeat_ngram_size": st.integers(1, 4),
        "bad_words_ids": st.lists(phrases(vocab), max_size=3),
        "min_length": st.integers(1, 8),
        "min_new_tokens": st.integers(1, 5),
        "prefix_allowed_tokens_fn": st.just(lambda prompt, tokens: [prompt % vocab, *tokens]),
        "forced_bos_token_id": ids,
        "forced_eos_token_id": id_sets(vocab),
        "exponential_decay_length_penalty": st.tuples(
            st.integers(0, 3), st.sampled_from([0.5, 2.0])
        ),
        "suppress_tokens": id_sets(vocab),
        "begin_suppress_tokens": id_sets(vocab),
        "logits_processor": st.sampled_from([[halved], [less_by_length, halved]]),
        "temperature": st.sampled_from([0.25, 0.5, 2.0]),
        "top_h": st.sampled_from([0.3, 0.7, 0.9]),
        "top_k": st.integers(1, 6),
        "top_p": st.sampled_from([0.125, 0.5, 0.75, 0.9]),
        "min_p": st.sampled_from([0.01, 0.125, 0.5]),
        "typical_p": st.sampled_from([0.125, 0.5, 0.75, 0.9]),
        "epsilon_cutoff": st.sampled_from([0.01, 0.125, 0.25]),
        "eta_cutoff": st.sampled_from([0.01, 0.125, 0.6]),
    }
    chosen = data.draw(st.lists(st.sampled_from(list(values)), max_size=6, unique=True))
    given_ones = {name: data.draw(values[name]) for name in chosen}
    settings = Settings(do_sample=True, eos_token_id=list(eos), **given_ones)
    least = data.draw(st.integers(1, 3))
    try:
        expected = [
            slow.processed(row, z, settings, least=least)
            for row, z in zip(rows, scores.tolist(), strict=True)
        ]
    except slow.UndecidedError:
        reject()
    scores.setflags(write=False)
    processors = pipeline(settings, min_tokens_to_keep=least)
    result = score(rows, scores, processors).final
    np.testing.assert_array_equal(result, expected)
    shown = score(rows, scores, processors).by_name
    assert list(shown) == ["model", *processors]
    np.testing.assert_array_equal(shown["model"], scores)
    np.testing.assert_array_equal([*shown.values()][-1], result)
    for index, row in enumerate(rows):
        alone = score([row], scores[index : index + 1], processors).final
        np.testing.assert_array_equal(alone[0], result[index], "alone as among others")


@given(problem=rows_and_scores())
def test_keeps_the_dtype_at_every_stage(problem):
    rows, scores = problem
    settings = Settings(do_sample=True, eos_token_id=0, **{**PROCESSORS, "bad_words_ids": [[0]]})
    wide = np.zeros((len(scores), 9), dtype=scores.dtype)  # wide enough for all ids
    wide[:, : scores.shape[1]] = scores
    wide.setflags(write=False)
    processors = pipeline(settings, vocab_size=8, diversity=lambda rows, scores: scores)
    for name, stage in score(rows, wide, processors).by_name.items():
        assert stage.dtype == scores.dtype, name
        assert stage.shape == wide.shape, name
        assert not np.isnan(stage).any(), name


def test_each_stage_shows_what_its_processor_made():
    settings = Settings(logit_bias={0: 1.0, 1: -math.inf}, suppress_tokens=[2])
    shown = score([Row([0], 1)], np.zeros((1, 3)), pipeline(settings)).by_name
    assert {name: scores.tolist() for name, scores in shown.items()} == {
        "model": [[0.0, 0.0, 0.0]],
        "logit_bias": [[1.0, -math.inf, 0.0]],
        "suppress_tokens": [[1.0, -math.inf, -math.inf]],
    }


def test_diversity_acts_after_the_biases_and_before_the_repetition_penalty():
    settings = Settings(logit_bias={0: 5.0}, repetition_penalty=2.0)
    minus_one = pipeline(settings, diversity=lambda rows, scores: scores - 1)
    result = score([Row([0], 1)], np.zeros((1, 2)), minus_one).final
    np.testing.assert_array_equal(result, [[2.0, -1.0]])  # (0 + 5 - 1) / 2


def test_an_error_names_the_function_that_is_wrong():
    settings = Settings(logits_processor=[halved, lambda rows, scores: scores * np.nan])
    with pytest.raises(SettingError, match=r"logits_processor\[1\] gave nan"):
        score([Row([0], 1)], np.zeros((1, 2)), pipeline(settings))


def test_no_function_may_allow_a_padded_column():
    settings = Settings(prefix_allowed_tokens_fn=lambda prompt, tokens: [2])
    with pytest.raises(SettingError, match="the vocabulary has 2 tokens"):
        score([Row([0], 1)], np.zeros((1, 3)), pipeline(settings, vocab_size=2))
