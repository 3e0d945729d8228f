import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._processors.masks import keep_only, rule_out, top_mask, unsorted
from tests.helpers import slow_processors as slow
from tests.helpers.rows_and_scores import assert_same
from tests.helpers.score_rows import score_rows


@given(scores=score_rows(), count=st.integers(1, 10))
def test_top_mask_equals_sorting(scores, count):
    scores.setflags(write=False)
    expected = np.zeros(scores.shape, dtype=bool)
    for index, z in enumerate(scores.tolist()):
        expected[index, slow.ranked(z)[:count]] = True
    assert_same(top_mask(scores, count), expected)


def test_keep_only_and_rule_out_keep_the_dtype():
    scores = np.array([[1, 2], [3, 4]], dtype=np.float32)
    scores.setflags(write=False)
    expected = np.array([[1, 2], [-np.inf, 4]], dtype=np.float32)
    assert_same(rule_out(scores, [1], (0,)), expected)
    assert_same(keep_only(scores, expected > 0), expected)
    assert_same(rule_out(scores, [], (0,)), scores)
    assert_same(rule_out(scores, [1], ()), scores)


def test_unsorted_undoes_the_order():
    order = np.array([[2, 0, 1], [1, 2, 0]])
    stays = np.array([[True, True, False], [True, False, False]])
    expected = np.array([[True, False, True], [False, True, False]])
    assert_same(unsorted(order, stays), expected)
