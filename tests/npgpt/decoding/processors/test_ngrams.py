import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.ngrams import no_repeat_ngram
from npgpt.decoding._scoring import Row
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import assert_same, by_row, rows_and_scores


@given(problem=rows_and_scores(), size=st.integers(1, 6))
def test_equals_the_plain_definition(problem, size):
    rows, scores = problem
    expected = by_row(slow.no_repeat_ngram, scores, size, rows=rows)
    assert_same(no_repeat_ngram(rows, scores, size=size), expected)


@pytest.mark.parametrize(
    ("tokens", "size", "banned"),
    [
        ([0, 2, 0], 1, {0, 2}),  # every token seen
        ([0, 1, 2, 0, 1], 3, {2}),
        ([0, 1, 2, 0, 1, 3, 0, 1], 3, {2, 3}),  # whatever followed
        ([0, 1, 0], 3, set()),  # 0 alone is no beginning of a trigram
        ([0, 0], 2, {0}),  # the n-gram may overlap the row's end
        ([0, 0], 3, set()),  # but 0 0 has not been followed by anything yet
        ([0, 1], 3, set()),  # shorter than n
        ([0, 1], 10**9, set()),
    ],
)
@pytest.mark.parametrize("prompt_length", [1, 2])
def test_by_hand_prompt_or_not(tokens, size, banned, prompt_length):
    result = no_repeat_ngram([Row(tokens, prompt_length)], np.zeros((1, 4)), size=size)
    assert {token for token in range(4) if result[0, token] == -math.inf} == banned
