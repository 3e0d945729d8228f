import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.phrases import bad_words, logit_bias, sequence_bias
from npgpt.decoding._scoring import Row
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import assert_same, by_row, id_sets, phrases, rows_and_scores

INF = math.inf
BIASES = st.one_of(
    st.integers(-8, 8).map(lambda halves: halves / 2),
    st.sampled_from([-INF, 1e38, -1e38, 1e308, -1e308]),
)


@given(problem=rows_and_scores(), data=st.data())
def test_sequence_bias_and_bad_words_equal_the_plain_definition(problem, data):
    rows, scores = problem
    biases = data.draw(st.lists(st.tuples(phrases(scores.shape[1]), BIASES), max_size=5))
    expected = by_row(slow.sequence_bias, scores, biases, rows=rows)
    assert_same(sequence_bias(rows, scores, biases=biases), expected)
    banned = [phrase for phrase, _ in biases]
    expected = by_row(slow.bad_words, scores, banned, rows=rows)
    assert_same(bad_words(rows, scores, phrases=banned), expected)


@given(problem=rows_and_scores(), data=st.data())
def test_logit_bias_is_a_sequence_bias_of_one_token(problem, data):
    rows, scores = problem
    ids = data.draw(id_sets(scores.shape[1]))
    biases = [(token, data.draw(BIASES)) for token in ids]
    alone = [((token,), bias) for token, bias in biases]
    expected = by_row(slow.sequence_bias, scores, alone, rows=rows)
    assert_same(logit_bias(scores, biases=biases), expected)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([9], [0.0, 1.0, 0.0]),  # 1 alone
        ([9, 7], [0.0, 3.0, 0.0]),  # 7 1 too
        ([7, 9], [0.0, 1.0, 0.0]),  # 7 is not at the end
        ([8, 7], [0.0, 7.0, 0.0]),  # and 8 7 1, whose beginning is in the prompt
        ([7, 8], [0.0, 1.0, 0.0]),
    ],
)
def test_every_phrase_that_is_due_adds_its_bias(tokens, expected):
    biases = [((7, 1), 2.0), ((8, 7, 1), 4.0), ((1,), 1.0)]
    result = sequence_bias([Row(tokens, 2)], np.zeros((1, 3)), biases=biases)
    np.testing.assert_array_equal(result, [expected])


def test_biases_add_up_before_the_dtype_rounds():
    scores = np.array([[1.0]], dtype=np.float32)
    biases = [((0,), 1e-8)] * 10  # each alone is lost in float32
    result = sequence_bias([Row([0], 1)], scores, biases=biases)
    assert_same(result, np.array([[1.0 + 1e-7]], dtype=np.float32))
    assert result[0, 0] > 1


def test_no_bias_brings_back_what_another_rules_out():
    biases = [
        ((0,), -INF),
        ((0,), 1e308),
        ((0,), 1e308),
        ((1,), 1e308),
        ((1,), 1e308),
        ((1,), -INF),
    ]
    result = sequence_bias([Row([0], 1)], np.zeros((1, 2)), biases=biases)
    np.testing.assert_array_equal(result, [[-INF, -INF]])


def test_a_banned_eos_is_banned_as_any_other():
    result = bad_words([Row([5], 1)], np.array([[INF, 2.0]]), phrases=[(0,)])
    np.testing.assert_array_equal(result, [[-INF, 2.0]])
