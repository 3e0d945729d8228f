import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import oracle.bounds.attention as bounds
from npgpt.ops.attention import Shared, attention, causal_mask
from oracle.ops.attention import attention as oracle_attention
from oracle.strategies.arrays import LAYOUTS, MAX_SEED, arrays, build_array
from tests.helpers.held import DTYPES, held_to_oracle
from tests.helpers.whole_rows import on_whole_rows

SCALES = st.sampled_from([1.0, 0.5, 0.125, 1 / 3, 30.0])


@st.composite
def heads(draw, dtype, max_side=5):
    """Query, key and value of matching shapes."""
    batch, head, query, key, width = (draw(st.integers(1, side)) for side in (2, 2, 5, 6, 5))
    return [draw(arrays((batch, head, length, width), dtype=dtype)) for length in (query, key, key)]


@given(st.data(), SCALES, DTYPES, st.sampled_from(LAYOUTS))
def test_attention(data, scale, dtype, layout):
    operands = data.draw(heads(dtype))
    batch, head, query, _ = operands[0].shape
    full = (batch, head, query, operands[1].shape[2])
    shape = data.draw(st.sampled_from([full, full[2:], (batch, 1, 1, full[3]), (1, full[3])]))
    share = data.draw(st.sampled_from([1.0, 0.6, 0.2, 0.0]))
    mask = np.random.default_rng(data.draw(st.integers(0, MAX_SEED))).random(shape) < share
    mask.flags.writeable = False
    held_to_oracle(
        attention,
        oracle_attention,
        bounds.attention,
        operands,
        layout=layout,
        mask=mask,
        scale=scale,
    )


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
        shared = Shared(shared_key, shared_value, source)
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
    shared = Shared(*np.zeros((2, 1, 1, length, width)), np.zeros(rows, int))
    q, k, v = np.zeros((3, rows, 1, 1, width))
    mask = np.ones(length + 1, bool)
    tracemalloc.start()
    try:
        attention(q, k, v, mask=mask, scale=1.0, shared=shared)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < rows * shared.key.nbytes / 2


@given(st.data(), DTYPES)
def test_a_query_that_may_look_at_nothing_gets_zeros(data, dtype):
    q, k, v = data.draw(heads(dtype))
    mask = np.random.default_rng(data.draw(st.integers(0, 99))).random(q.shape[2]) < 0.5
    out = attention(q, k, v, mask=mask[:, None], scale=1.0)
    assert not out[:, :, ~mask].any()
    assert not np.isnan(out).any()


@given(st.data(), DTYPES)
def test_looking_at_one_key_gives_its_value(data, dtype):
    q, k, v = data.draw(heads(dtype))
    seen = data.draw(st.integers(0, k.shape[2] - 1))
    out = attention(q, k, v, mask=np.arange(k.shape[2]) == seen, scale=0.3)
    assert np.array_equal(out, np.broadcast_to(v[:, :, seen, None], out.shape))


@pytest.mark.parametrize("kind", ["ordinary", "huge"])
@given(st.data(), DTYPES)
def test_what_a_masked_key_holds_changes_nothing_at_all(kind, data, dtype):
    """Not a bit: however large the scores, nothing leaks through the mask."""
    q, k, v = data.draw(heads(dtype))
    q = build_array(kind, 0, q.shape, dtype)
    mask = causal_mask(q.shape[2], k.shape[2]) & (np.arange(k.shape[2]) > 0)
    out = attention(q, k, v, mask=mask, scale=1.0)
    k[:, :, 0], v[:, :, 0] = 1e9, -1e9
    assert np.array_equal(attention(q, k, v, mask=mask, scale=1.0), out)


@given(st.integers(0, 6), st.integers(0, 9))
def test_queries_are_the_last_positions_and_see_themselves_and_the_past(query, past):
    mask = causal_mask(query, past + query)
    assert mask.shape == (query, past + query)
    assert mask.dtype == bool
    for i in range(query):
        assert mask[i].tolist() == [j <= past + i for j in range(past + query)]


def test_the_tap_sees_scores_and_pattern_and_may_replace_them():
    q, k, v = (build_array("ordinary", seed, (1, 1, 2, 3), np.float64) for seed in range(3))
    seen = {}

    def swap(name, layer, array):
        seen[name, layer] = array.copy()
        return array[..., ::-1] if name == "pattern" else array

    mask = causal_mask(2, 2)
    out = attention(q, k, v, mask=mask, scale=0.5, tap=swap, layer=7)
    assert list(seen) == [("scores", 7), ("pattern", 7)]
    assert np.array_equal(np.isneginf(seen["scores", 7][0, 0]), ~mask)
    assert np.array_equal(out, seen["pattern", 7][..., ::-1] @ v)
    plain = attention(q, k, v, mask=mask, scale=0.5)
    assert np.array_equal(seen["pattern", 7] @ v, plain)
    assert not np.array_equal(out, plain)
