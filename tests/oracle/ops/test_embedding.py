import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle.ops._embedding import embedding
from oracle.strategies._arrays import arrays

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 4))


@given(st.data(), arrays(SHAPES))
def test_each_row_is_the_table_s(data, weight):
    rows = len(weight)
    ids = data.draw(st.lists(st.integers(0, rows - 1), max_size=6))
    out = embedding(torch.tensor(ids, dtype=torch.int64), torch.from_numpy(weight))
    assert out.dtype == torch.float32
    assert np.array_equal(out.numpy(), weight[np.array(ids, int)])


@pytest.mark.parametrize("bad", [-1, 3])
def test_an_id_outside_the_table_is_an_error(bad):
    with pytest.raises(ValueError, match=rf"id {bad} is outside the table, 0\.\.2"):
        embedding(torch.tensor([[0, bad]]), torch.zeros(3, 2))


def test_the_gradient_counts_how_often_each_row_is_read():
    weight = torch.zeros(3, 2, requires_grad=True)
    embedding(torch.tensor([2, 0, 2]), weight).sum().backward()
    assert weight.grad.tolist() == [[1, 1], [0, 0], [2, 2]]


def test_runs_without_values():
    ids = torch.empty(2, 5, dtype=torch.int64, device="meta")
    out = embedding(ids, torch.empty(7, 3, device="meta"))
    assert out.is_meta
    assert out.shape == (2, 5, 3)
