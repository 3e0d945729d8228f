import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from npgpt._kernels.gelu import gelu_new
from npgpt._kernels.layer_norm import layer_norm
from npgpt._kernels.thresholds import ROW_TILE
from npgpt._kernels.tiles import by_rows, slices
from oracle.strategies._arrays import arrays
from tests.helpers.oracle_bounds import DTYPES
from tests.helpers.small_tiles import small_tiles

SHAPES = array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9)


@given(st.data(), SHAPES, DTYPES)
def test_an_op_in_tiles_gives_the_same_bits(data, shape, dtype):
    x = data.draw(arrays(shape, dtype=dtype))
    weight, bias = (data.draw(arrays(shape[-1:], dtype=dtype)) for _ in range(2))
    for op, arguments, options in ((gelu_new, (), {}), (layer_norm, (weight, bias), {"eps": 1e-5})):
        whole = op.__wrapped__(x, *arguments, **options)
        with small_tiles():
            tiled = op(x, *arguments, **options)
        assert tiled.dtype == dtype
        assert np.array_equal(tiled, whole, equal_nan=True)


def test_what_is_large_is_computed_in_tiles_of_whole_rows():
    sizes = []

    def op(x):
        sizes.append(x.shape)
        return x + 1

    x = np.zeros((2, 5, ROW_TILE // 2), np.float32)
    assert np.array_equal(by_rows(op)(x), x + 1)
    assert sizes == 5 * [(2, ROW_TILE // 2)]


def test_a_row_longer_than_a_tile_is_a_tile():
    x = np.zeros((3, ROW_TILE + 1))
    assert by_rows(lambda x: x)(x).shape == x.shape


def test_what_an_op_raises_comes_out():
    def fails(x):
        raise ArithmeticError("no such row")

    with pytest.raises(ArithmeticError, match="no such row"):
        by_rows(fails)(np.zeros((4, ROW_TILE)))


@given(st.integers(0, 50), st.integers(1, 60))
def test_slices_are_all_of_it_in_order(length, size):
    found = slices(length, size)
    assert [i for part in found for i in range(length)[part]] == list(range(length))
    assert all(0 < part.stop - part.start <= size for part in found)
