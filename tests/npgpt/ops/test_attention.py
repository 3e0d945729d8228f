import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt._kernels.attention import attention as kernel
from npgpt.ops._attention import attention as formula
from npgpt.ops._attention import causal_mask
from oracle import bounds
from oracle.ops._attention import attention as oracle_attention
from oracle.strategies._arrays import LAYOUTS, MAX_SEED, arrays, build_array
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle

FORMS = pytest.mark.parametrize("attention", [formula, kernel], ids=["formula", "kernel"])
SCALES = st.sampled_from([1.0, 0.5, 0.125, 1 / 3, 30.0])


@st.composite
def heads(draw, dtype, max_side=5):
    """Query, key and value of matching shapes."""
    batch, head, query, key, width = (draw(st.integers(1, side)) for side in (2, 2, 5, 6, 5))
    return [draw(arrays((batch, head, length, width), dtype=dtype)) for length in (query, key, key)]


@FORMS
@given(st.data(), SCALES, DTYPES, st.sampled_from(LAYOUTS))
def test_attention(attention, data, scale, dtype, layout):
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


@FORMS
@given(st.data(), DTYPES)
def test_a_query_that_may_look_at_nothing_gets_zeros(attention, data, dtype):
    q, k, v = data.draw(heads(dtype))
    mask = np.random.default_rng(data.draw(st.integers(0, 99))).random(q.shape[2]) < 0.5
    out = attention(q, k, v, mask=mask[:, None], scale=1.0)
    assert not out[:, :, ~mask].any()
    assert not np.isnan(out).any()


@FORMS
@given(st.data(), DTYPES)
def test_looking_at_one_key_gives_its_value(attention, data, dtype):
    q, k, v = data.draw(heads(dtype))
    seen = data.draw(st.integers(0, k.shape[2] - 1))
    out = attention(q, k, v, mask=np.arange(k.shape[2]) == seen, scale=0.3)
    assert np.array_equal(out, np.broadcast_to(v[:, :, seen, None], out.shape))


@FORMS
@pytest.mark.parametrize("kind", ["ordinary", "huge"])
@given(st.data(), DTYPES)
def test_what_a_masked_key_holds_changes_nothing_at_all(attention, kind, data, dtype):
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


@FORMS
def test_the_tap_sees_scores_and_pattern_and_may_replace_them(attention):
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
