import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npgpt._kernels.attention import SharedPrefix, attention
from npgpt.ops._attention import causal_mask
from oracle import bounds
from oracle.ops._attention import attention as oracle_attention
from oracle.strategies._arrays import LAYOUTS, MAX_SEED, arrays
from tests.helpers.attention_of_whole_rows import on_whole_rows
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle
from tests.helpers.small_tiles import small_tiles


@st.composite
def problems(draw, dtype):
    """Query, key, value and a mask: causal or not, padded or not, for several tiles each way."""
    batch, head, query, past, width = (draw(st.integers(1, n)) for n in (3, 3, 9, 5, 4))
    key = query + past - 1
    operands = [
        draw(arrays((batch, head, length, width), dtype=dtype)) for length in (query, key, key)
    ]
    rng = np.random.default_rng(draw(st.integers(0, MAX_SEED)))
    mask = rng.random((batch, 1, 1, key)) < draw(st.sampled_from([1.0, 0.7]))
    if draw(st.booleans()):
        mask = mask & causal_mask(query, key)
    if draw(st.booleans()):
        mask = mask & (rng.random((1, head, query, key)) < 0.8)
    return operands, mask


def tiled(*arrays, **options):
    with small_tiles():
        return attention(*arrays, **options)


@given(st.data(), DTYPES, st.sampled_from(LAYOUTS))
def test_attention_in_tiles_is_the_oracles(data, dtype, layout):
    operands, mask = data.draw(problems(dtype))
    held_to_oracle(
        tiled, oracle_attention, bounds.attention, operands, layout=layout, mask=mask, scale=0.5
    )


@given(st.data(), DTYPES)
def test_after_shared_keys_too(data, dtype):
    (q, k, v), mask = data.draw(problems(dtype))
    batch, head, _, width = q.shape
    before, prompts = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 2))
    source = np.array([data.draw(st.integers(0, prompts - 1)) for _ in range(batch)])
    shared = [data.draw(arrays((prompts, head, before, width), dtype=dtype)) for _ in range(2)]
    first = np.ones((*mask.shape[:-1], before), bool)
    mask = np.concatenate([first, mask], axis=-1)

    def ours(q, shared_key, shared_value, key, value, **options):
        shared = SharedPrefix(shared_key, shared_value, source)
        return tiled(q, key, value, shared=shared, **options)

    held_to_oracle(
        ours,
        on_whole_rows(oracle_attention, torch.cat, source),
        on_whole_rows(bounds.attention, np.concatenate, source),
        [q, *shared, k, v],
        mask=mask,
        scale=0.5,
    )


@given(st.data(), DTYPES)
def test_a_tap_that_looks_changes_not_a_bit(data, dtype):
    operands, mask = data.draw(problems(dtype))
    plain = tiled(*operands, mask=mask, scale=0.5)
    for seen in (
        tiled(*operands, mask=mask, scale=0.5, tap=lambda name, layer, array: array),
        tiled(*operands, mask=mask, scale=0.5, tap=lambda name, layer, array: array.copy()),
    ):
        assert np.array_equal(seen, plain)


@given(st.data(), DTYPES)
def test_what_a_tap_sees_is_what_is_masked_and_normalised(data, dtype):
    (q, k, v), mask = data.draw(problems(dtype))
    seen = {}
    tiled(q, k, v, mask=mask, scale=0.5, tap=lambda name, _, array: seen.setdefault(name, array))
    mask = np.broadcast_to(mask, seen["scores"].shape)
    assert np.array_equal(np.isneginf(seen["scores"]), ~mask)
    assert not seen["pattern"][~mask].any()


@pytest.mark.parametrize("name", ["scores", "pattern"])
def test_a_tap_may_let_a_query_look_past_the_mask(name):
    """What it puts where a tile had ended is used."""
    q, k = np.zeros((1, 1, 6, 2)), np.zeros((1, 1, 6, 2))
    v = np.arange(12.0).reshape(1, 1, 6, 2)

    def look_at_the_last(seen, layer, array):
        if seen != name:
            return array
        array = np.full_like(array, -np.inf if name == "scores" else 0.0)
        array[..., -1] = 1.0
        return array

    out = tiled(q, k, v, mask=causal_mask(6, 6), scale=1.0, tap=look_at_the_last)
    assert np.array_equal(out, np.broadcast_to(v[:, :, -1:], out.shape))
