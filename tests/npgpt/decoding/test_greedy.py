from hypothesis import given

from npgpt.decoding._sampling import argmax
from tests.helpers.score_rows import score_rows


@given(scores=score_rows(most_rows=1))
def test_is_the_lowest_id_among_the_largest(scores):
    row = scores[0].tolist()
    assert argmax(scores[0]) == row.index(max(row))
