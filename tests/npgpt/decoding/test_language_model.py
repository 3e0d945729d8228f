import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding._language_model import Step, batched, complete, right_aligned
from npgpt.errors import SettingError
from tests.helpers.toy_language_model import Toy, ToyReader, random_logits

VECTOR = st.integers(-3, 3).map(lambda value: np.array([value, 2.0 * value]))


@given(
    rows=st.lists(st.lists(VECTOR, max_size=3), min_size=1, max_size=3).filter(any),
    more=st.integers(0, 2),
)
def test_vectors_stand_to_the_right_after_zeros(rows, more):
    columns = max(map(len, rows)) + more
    array = right_aligned(rows, columns)
    assert array.shape == (len(rows), columns, 2)
    for row, vectors in enumerate(rows):
        before = columns - len(vectors)
        assert not array[row, :before].any()
        assert array[row, before:].tolist() == [vector.tolist() for vector in vectors]


@given(rows=st.lists(st.lists(st.none() | VECTOR, max_size=3), max_size=3))
def test_one_unknown_vector_makes_all_unknown(rows):
    known = all(vector is not None for row in rows for vector in row)
    assert complete(rows) == (rows if known else None)


def test_next_step_in_batches_says_what_a_whole_language_model_says():
    model = random_logits(1, 4)
    one, other = batched(Toy(model)), ToyReader(model)
    mine, whole = one([[1, 2, 3], [0]], None), other([[1, 2, 3], [0]], None)
    for _ in range(2):
        np.testing.assert_array_equal(mine.logits, whole.logits)
        assert mine.hidden is None
        assert mine.state.select([1]).state == whole.state.select([1])
        mine, whole = one([[3], [2]], mine.state), other([[3], [2]], whole.state)
    with pytest.raises(SettingError, match="cannot go back"):
        mine.state.rewind([1, 0])


def test_what_is_no_step_is_quoted():
    with pytest.raises(SettingError, match=r"next_step gave 7; it must give a Step\(logits"):
        batched(lambda rows, state: 7)([[0]], None)
    with pytest.raises(SettingError, match=r"shape \(2,\) for 1 rows; it must give \(rows, vocab"):
        batched(lambda rows, state: Step(np.zeros(2), None, None))([[0]], None)
    with pytest.raises(SettingError, match="kind list; it must give an array of floats"):
        batched(lambda rows, state: Step([[0.0]], None, None))([[0]], None)
