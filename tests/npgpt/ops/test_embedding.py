import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, integer_dtypes

from npgpt.errors import PromptError
from npgpt.ops._embedding import embedding
from oracle import bounds
from oracle.ops._embedding import embedding as oracle_embedding
from oracle.strategies._arrays import KINDS, LAYOUTS, build_array
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle

SHAPES = array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


@given(st.data(), st.sampled_from(list(KINDS)), DTYPES, st.sampled_from(LAYOUTS))
def test_rows_are_looked_up_exactly(data, kind, dtype, layout):
    rows, embd = (data.draw(st.integers(1, 6)) for _ in range(2))
    kind_of_integer = data.draw(st.sampled_from([np.int64, np.int32, np.uint8]))
    ids = data.draw(arrays(kind_of_integer, SHAPES, elements=st.integers(0, rows - 1)))
    weight = build_array(kind, data.draw(st.integers(0, 9)), (rows, embd), dtype)
    oracle_rows = lambda i, w: oracle_embedding(i.long(), w)  # noqa: E731
    held_to_oracle(embedding, oracle_rows, bounds.embedding, [ids, weight], layout=layout)


@given(st.data(), integer_dtypes(), st.integers(1, 5))
def test_an_id_outside_the_table_is_named(data, dtype, rows):
    """Negative ones too, which NumPy alone would count from the end."""
    info = np.iinfo(dtype)
    above = st.integers(rows, int(info.max))
    # Just below 0 is where NumPy would count from the end.
    below = st.integers(-rows, -1) | st.integers(int(info.min), -1)
    wrong = data.draw(above | below if info.min < 0 else above)
    ids = np.zeros(data.draw(array_shapes(max_dims=2, max_side=3)), dtype)
    ids.flat[data.draw(st.integers(0, ids.size - 1))] = wrong
    with pytest.raises(PromptError, match=rf"id {wrong} .*\b{rows}\b"):
        embedding(ids, np.zeros((rows, 2)))


def test_the_table_is_not_handed_out_to_be_written_to():
    weight = np.zeros((3, 2))
    embedding(np.arange(3), weight)[:] = 1
    assert not weight.any()
