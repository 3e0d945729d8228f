import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracle import bounds as bound
from oracle.bounds._compare import excess
from oracle.ops._attention import attention, causal_mask, keep
from oracle.strategies._arrays import MAX_SEED, arrays
from tests.helpers import exact_ops

SIDE = st.integers(1, 4)
DTYPES = st.sampled_from([np.float32, np.float64])
KINDS = ["ordinary", "integers", "ties", "heavy_tailed", "tiny"]
# With a tap, the scores and the pattern are computed by themselves; without, in one fused kernel.
WAYS = {"fused": {}, "tapped": {"tap": keep}, "upcast": {"upcast": True}}


@pytest.mark.parametrize("way", WAYS)
@given(data=st.data(), query=SIDE, key=SIDE, width=SIDE, dtype=DTYPES)
def test_is_the_formula_within_its_bound(way, data, query, key, width, dtype):
    shapes = ((1, 2, query, width), (1, 2, key, width), (1, 2, key, width))
    q, k, v = (data.draw(arrays(shape, dtype=dtype, kinds=KINDS)) for shape in shapes)
    share = data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    rng = np.random.default_rng(data.draw(st.integers(0, MAX_SEED)))
    mask = rng.random((1, 2, query, key)) >= share
    scale = data.draw(st.sampled_from([1.0, 0.5, 1 / 3]))
    tensors = map(torch.from_numpy, (q, k, v))
    found = attention(*tensors, mask=torch.from_numpy(mask), scale=scale, **WAYS[way])
    assert found.dtype == torch.from_numpy(q).dtype
    heads = [exact_ops.attention(q[0, h], k[0, h], v[0, h], mask[0, h], scale) for h in range(2)]
    exact = np.array([heads])
    allowed = bound.attention(q, k, v, mask=mask, scale=scale, dtype=dtype)
    assert excess(found.numpy(), exact, allowed + exact_ops.stored(exact)) <= 1


@pytest.mark.parametrize("query", range(5))
@pytest.mark.parametrize("key", range(5))
def test_causal_mask_is_the_last_rows_of_a_triangle(query, key):
    if query <= key:
        expected = np.tri(key, dtype=bool)[key - query :]
        assert np.array_equal(causal_mask(query, key).numpy(), expected)


@pytest.mark.parametrize("way", WAYS)
def test_a_query_that_may_look_at_nothing_gives_zeros_and_no_gradient(way):
    q, k, v = (torch.ones(1, 1, 2, 3, requires_grad=True) for _ in range(3))
    mask = torch.tensor([[False, False], [True, False]])
    out = attention(q, k, v, mask=mask, scale=1.0, **WAYS[way])
    assert out.tolist() == [[[[0, 0, 0], [1, 1, 1]]]]
    out.sum().backward()
    assert all(t.grad.isfinite().all() for t in (q, k, v))
    assert v.grad.tolist() == [[[[1, 1, 1], [0, 0, 0]]]]


def test_taps_see_and_replace():
    q, k, v = torch.ones(1, 1, 2, 1), torch.ones(1, 1, 2, 1), torch.tensor([[[[2.0], [4.0]]]])
    seen = {}

    def tap(name, layer, tensor):
        seen[name, layer] = tensor
        return torch.full_like(tensor, -torch.inf) if name == "scores" else tensor

    out = attention(q, k, v, mask=causal_mask(2, 2), scale=0.5, tap=tap, layer=7)
    assert list(seen) == [("scores", 7), ("pattern", 7), ("head_out", 7)]
    assert seen["scores", 7].tolist() == [[[[0.5, -torch.inf], [0.5, 0.5]]]]
    assert not seen["pattern", 7].any()
    assert not out.any()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_upcasting_keeps_scores_that_a_half_would_round(half):
    # 256 + 1 is a score that float32 holds and neither half does, nor 65536 + 1, and float16 not
    # even nearly: the difference of one decides the pattern.
    q = torch.tensor([[[[256.0, 1.0]]]], dtype=half)
    k = torch.tensor([[[[256.0, 0.0], [256.0, 1.0]]]], dtype=half)
    v = torch.tensor([[[[0.0], [1.0]]]], dtype=half)
    every = torch.ones(1, 2, dtype=torch.bool)
    out = attention(q, k, v, mask=every, scale=1.0, upcast=True)
    assert out.dtype == half
    expected = torch.sigmoid(torch.tensor(1.0)).to(half)
    assert out.flatten().tolist() == [float(expected)]


@pytest.mark.parametrize("way", WAYS)
def test_gradient_is_the_numeric_one(way):
    generator = torch.Generator().manual_seed(0)
    shape = (1, 2, 3, 2)
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3)]
    inputs = [tensor.requires_grad_() for tensor in drawn]
    mask = causal_mask(3, 3) & torch.tensor([False, True, True])
    assert torch.autograd.gradcheck(
        lambda *a: attention(*a, mask=mask, scale=0.7, **WAYS[way]), inputs
    )


@pytest.mark.parametrize("way", WAYS)
def test_runs_without_values(way):
    q, k, v = (torch.empty(2, 4, n, 3, device="meta") for n in (2, 5, 5))
    mask = causal_mask(2, 5, device="meta")
    assert mask.is_meta
    out = attention(q, k, v, mask=mask, scale=1.0, **WAYS[way])
    assert out.is_meta
    assert out.shape == (2, 4, 2, 3)
