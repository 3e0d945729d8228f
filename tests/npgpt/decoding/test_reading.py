import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.decoding.reading import complete, last_of, last_step, right_aligned
from tests.helpers.toy_language_model import Toy, ToyReader, random_logits, random_vectors

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


def test_the_last_step_of_a_reading_is_that_of_the_last_tokens():
    model, hidden_of = random_logits(1, 4), random_vectors(1, 3)
    read, toy = ToyReader(model, hidden_of=hidden_of), Toy(model, hidden_of=hidden_of)
    next_step = last_of(read)
    mine, theirs = next_step([[1, 2, 3], [0]], None), toy([[1, 2, 3], [0]], None)
    for _ in range(2):
        np.testing.assert_array_equal(mine.logits, theirs.logits)
        np.testing.assert_array_equal(mine.hidden, theirs.hidden)
        assert mine.state == theirs.state
        mine, theirs = next_step([[3], [2]], mine.state), toy([[3], [2]], theirs.state)
    assert last_of(ToyReader(model))([[0]], None).hidden is None
    reading = read([[1, 2, 3], [0]], None, keep=2)
    np.testing.assert_array_equal(last_step(reading).logits, [model((1, 2, 3)), model((0,))])
