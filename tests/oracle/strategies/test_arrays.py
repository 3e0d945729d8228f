import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from oracle.strategies._arrays import (
    FINITE_KINDS,
    KINDS,
    LAYOUTS,
    MAX_SEED,
    arrays,
    build_array,
    laid_out,
    logits,
)
from tests.helpers.strategy_reach import simplest

SHAPES = array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=7)
DTYPES = st.sampled_from([np.float32, np.float64])


@given(st.sampled_from(list(KINDS)), st.integers(0, MAX_SEED), SHAPES, DTYPES)
def test_every_kind_is_finite_writable_and_repeatable(kind, seed, shape, dtype):
    array = build_array(kind, seed, shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert np.isfinite(array).all()
    assert array.flags.writeable
    assert array.flags.owndata
    assert np.array_equal(array, build_array(kind, seed, shape, dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_kind_is_what_its_name_says(dtype):
    made = {kind: build_array(kind, 1, (20, 30), dtype).astype(np.float64) for kind in KINDS}
    finfo = np.finfo(dtype)
    tiny, largest, eps = (float(x) for x in (finfo.tiny, finfo.max, finfo.eps))
    sizes = {kind: np.abs(array) for kind, array in made.items()}
    assert set(np.unique(made["integers"])) == set(range(-3, 4))
    assert 0.9 < made["ordinary"].std() < 1.1
    assert (np.ptp(made["constant_rows"], axis=-1) == 0).all()
    assert len(np.unique(made["constant_rows"])) == 20
    assert len(np.unique(made["ties"])) == 3
    assert np.median(sizes["offset"].mean(-1) / made["offset"].std(-1)) > 100
    spread = np.ptp(made["near_ties"], axis=-1) / sizes["near_ties"].max(-1)
    assert ((spread > 0) & (spread < 4 * eps)).all()
    assert sizes["heavy_tailed"].max() > 100 * np.median(sizes["heavy_tailed"])
    assert np.ptp(np.log2(sizes["wide"])) > int(finfo.maxexp) // 3
    assert 0 < np.median(sizes["tiny"] ** 2) < 2 * tiny
    assert sizes["subnormal"].max() < tiny
    assert sizes["subnormal"].any()
    assert sizes["huge"].max() ** 2 < largest / 1000
    with np.errstate(over="ignore"):
        assert np.square((sizes["huge"].max() ** 2).astype(dtype)) == np.inf
    assert sizes["near_overflow"].max() > 0.9 * largest


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_reach_every_kind(kind):
    found = simplest(arrays((3, 4), kinds=tuple(KINDS)), lambda a: a.any() and _is(kind, a))
    assert _is(kind, found)


def _is(kind, array):
    return any(np.array_equal(array, build_array(kind, seed, (3, 4))) for seed in range(3))


def test_arrays_reach_rows_of_one_element_and_empty_arrays():
    assert simplest(arrays(SHAPES), lambda a: a.ndim == 3 and a.shape[-1] == 1).any() in (0, 1)
    assert simplest(arrays(SHAPES), lambda a: a.size == 0).shape == (0,)


def test_arrays_shrink_to_few_elements_of_the_simplest_kind():
    shapes = array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=7)
    found = simplest(arrays(shapes), lambda a: a.max() > 0)
    assert found.shape == (1,)
    assert found[0] in (1, 2, 3)


def test_finite_kinds_never_overflow_in_a_sum_of_products():
    for kind in FINITE_KINDS:
        array = build_array(kind, 0, (50,)).astype(np.float64)
        assert np.square(array).sum() < np.finfo(np.float32).max


@pytest.mark.parametrize("infinity", [-np.inf, np.inf])
def test_logits_reach_no_some_and_whole_rows_of_infinities(infinity):
    strategy = logits((2, 3), infinity=infinity)
    for counts in ([0, 0], [1, 2], [0, 3], [3, 3]):
        found = simplest(strategy, lambda a, n=counts: sorted(np.isinf(a).sum(-1).tolist()) == n)
        assert (found[np.isinf(found)] == infinity).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_keep_the_numbers_and_forbid_writing(layout):
    array = build_array("ordinary", 0, (3, 4))
    other = laid_out(array, layout)
    assert np.array_equal(other, array)
    assert other.dtype == array.dtype
    assert (other.strides == array.strides) == (layout == "contiguous")
    with pytest.raises(ValueError, match="read-only"):
        other[0] = 1
