import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.strategies._tokens import PADDINGS, batches, build_batch, chunkings
from tests.helpers.strategy_reach import simplest

CONFIG = {"vocab_size": 11, "n_positions": 6}


@given(batches(CONFIG, empty_rows=True))
def test_batches_fit_the_config(batch):
    assert batch.tokens.shape == batch.mask.shape
    assert batch.mask.dtype == bool
    assert 1 <= len(batch.tokens) <= 3
    assert 1 <= batch.tokens.shape[1] <= 6 + 3
    assert batch.mask.sum(1).max() <= 6
    assert batch.tokens.min() >= 0
    assert batch.tokens.max() < 11
    for row, tokens, mask in zip(batch.rows, batch.tokens, batch.mask, strict=True):
        assert row.tolist() == [t for t, real in zip(tokens, mask, strict=True) if real]


@given(batches(CONFIG))
def test_each_row_has_a_real_token_unless_empty_rows_are_asked_for(batch):
    assert batch.mask.any(1).all()


def sides(mask):
    """Whether a row of the mask has padding on the left, within, and on the right."""
    real = np.flatnonzero(mask)
    return real[0] > 0, bool((np.diff(real) > 1).any()), real[-1] < len(mask) - 1


@given(st.sampled_from(PADDINGS), st.integers(0, 2**32 - 1), st.data())
def test_padding_stands_where_its_name_says(padding, seed, data):
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    lengths = lengths[:1] * len(lengths) if padding == "none" else lengths
    width = max(lengths) if padding == "none" else 6
    allowed = {
        "none": (0, 0, 0),
        "left": (1, 0, 0),
        "right": (0, 0, 1),
        "both": (1, 0, 1),
        "middle": (0, 1, 1),
        "anywhere": (1, 1, 1),
    }[padding]
    batch = build_batch(padding, seed, lengths, width, 11)
    assert batch.mask.sum(1).tolist() == lengths
    for mask in batch.mask:
        assert all(found <= may for found, may in zip(sides(mask), allowed, strict=True))


@pytest.mark.parametrize("shape", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1)], ids=str)
def test_batches_reach_padding_on(shape):
    found = simplest(batches(CONFIG), lambda batch: sides(batch.mask[0]) == shape)
    assert found.tokens.shape[1] <= sum(shape) + 2


def test_batches_reach_different_padding_in_one_batch():
    simplest(batches(CONFIG), lambda b: len(b.mask) == 3 and len({sides(m) for m in b.mask}) == 3)


def test_batches_reach_a_full_context_wider_than_the_context():
    found = simplest(batches(CONFIG), lambda b: b.mask.sum(1).max() == 6 < b.mask.shape[1])
    assert found.tokens.shape == (1, 7)


def test_batches_reach_rows_of_padding_only():
    found = simplest(batches(CONFIG, empty_rows=True), lambda b: not b.mask.any(1).all())
    assert found.mask.tolist() == [[False]]


def test_batches_shrink_to_one_token():
    found = simplest(batches(CONFIG), lambda batch: True)
    assert found.mask.tolist() == [[True]]


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), chunkings(n))))
def test_chunks_add_up(case):
    length, chunks = case
    assert sum(chunks) == length
    assert min(chunks) >= 1


def test_chunkings_reach_all_ways_and_shrink_to_one_chunk():
    assert simplest(chunkings(4), lambda chunks: True) == (4,)
    ways = [(4,), (1, 3), (2, 2), (3, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1), (1, 1, 1, 1)]
    for way in ways:
        assert simplest(chunkings(4), lambda chunks, way=way: chunks == way) == way
