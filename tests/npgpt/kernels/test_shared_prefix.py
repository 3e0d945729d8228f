"""Attention over a prefix that rows share, beside attention over each row's own copy of it."""

import tracemalloc

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from npgpt._kernels.attention import SharedPrefix, attention
from oracle import bounds
from oracle.ops._attention import attention as oracle_attention
from oracle.strategies._arrays import LAYOUTS, MAX_SEED, arrays
from tests.helpers.attention_of_whole_rows import on_whole_rows
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle

SCALES = st.sampled_from([1.0, 0.5, 0.125, 1 / 3, 30.0])


@given(st.data(), SCALES, DTYPES, st.sampled_from(LAYOUTS))
def test_shared_keys_are_as_if_each_row_had_them_in_front_of_its_own(data, scale, dtype, layout):
    """Whichever rows began alike: in groups, interleaved, or each alone, also with none of them."""
    head, query, width, prompts = (data.draw(st.integers(1, side)) for side in (2, 3, 4, 3))
    before, own = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 3))
    source = np.array(data.draw(st.lists(st.integers(0, prompts - 1), min_size=1, max_size=5)))
    shapes = [(len(source), head, query, width)]
    shapes += 2 * [(prompts, head, before, width)] + 2 * [(len(source), head, own, width)]
    q, *rest = (data.draw(arrays(shape, dtype=dtype)) for shape in shapes)
    rng = np.random.default_rng(data.draw(st.integers(0, MAX_SEED)))
    mask = rng.random((len(source), 1, query, before + own)) < data.draw(st.sampled_from([1, 0.6]))

    def ours(q, shared_key, shared_value, key, value, **options):
        shared = SharedPrefix(shared_key, shared_value, source)
        return attention(q, key, value, shared=shared, **options)

    held_to_oracle(
        ours,
        on_whole_rows(oracle_attention, torch.cat, source),
        on_whole_rows(bounds.attention, np.concatenate, source),
        [q, *rest],
        layout=layout,
        mask=mask,
        scale=scale,
    )


def test_shared_keys_are_not_copied_for_each_row():
    rows, length, width = 32, 500, 64
    shared = SharedPrefix(*np.zeros((2, 1, 1, length, width)), np.zeros(rows, int))
    q, k, v = np.zeros((3, rows, 1, 1, width))
    mask = np.ones(length + 1, bool)
    tracemalloc.start()
    try:
        attention(q, k, v, mask=mask, scale=1.0, shared=shared)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < rows * shared.key.nbytes / 2
