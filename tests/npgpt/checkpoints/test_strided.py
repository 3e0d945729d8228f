import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from npgpt.checkpoints._tensors import FLOAT32
from npgpt.checkpoints._torch.state import strided_view
from npgpt.errors import CheckpointError

TEN = np.arange(10, dtype=np.float32)

BAD = {
    "offset outside": ((11, (1,), (1,)), "reach outside its 10 numbers"),
    "offset at the end": ((10, (1,), (1,)), "offset 10, shape (1,) and strides (1,) reach outside"),
    "offset of a scalar": ((10, (), ()), "reach outside"),
    "one too many": ((0, (11,), (1,)), "reach outside"),
    "shifted by one": ((1, (2, 5), (5, 1)), "reach outside"),
    "stride too long": ((0, (2,), (10,)), "reach outside"),
    "stride overflows": ((0, (2,), (2**63,)), "reach outside"),
    "reach overflows to 0": ((0, (2**32 + 1,), (2**32,)), "reach outside"),
    "offset overflows": ((2**64, (1,), (1,)), "reach outside"),
    "offset is negative": ((-1, (1,), (1,)), "-1 for an offset or stride"),
    "stride is negative": ((9, (2,), (-1,)), "-1 for an offset or stride"),
    "size is negative": ((0, (-1,), (1,)), "-1 in the shape"),
    "offset is None": ((None, (1,), (1,)), "None for an offset or stride"),
    "offset is true": ((True, (1,), (1,)), "True for an offset or stride"),
    "offset is a tuple": (((), (1,), (1,)), "a tuple for an offset or stride"),
    "stride is a text": ((0, (1,), ("1",)), "'1' for an offset or stride"),
    "size is true": ((0, (True,), (1,)), "True in the shape"),
    "shape is no tuple": ((0, 1, (1,)), "not two tuples of one length"),
    "strides are no tuple": ((0, (1,), 1), "not two tuples of one length"),
    "strides are missing": ((0, (1,), ()), "not two tuples of one length"),
    "too many dimensions": ((0, (1,) * 33, (1,) * 33), "33 dimensions; at most 32"),
    "size overflows": ((0, (2**61,), (0,)), "over 2^62 bytes"),
    "empty, but overflows": ((0, (0, 2**61), (1, 1)), "over 2^62 bytes"),
}


@pytest.mark.parametrize(("geometry", "said"), BAD.values(), ids=BAD)
def test_bad_geometries(geometry, said):
    with pytest.raises(CheckpointError) as caught:
        strided_view(TEN, FLOAT32, geometry, "there")
    assert str(caught.value).startswith("there: ")
    assert said in str(caught.value)


small = st.integers(0, 11)


@given(st.lists(st.tuples(st.integers(0, 4), small), max_size=4), small)
def test_the_same_as_torch_or_an_error(dimensions, offset):
    shape, strides = tuple(n for n, _ in dimensions), tuple(s for _, s in dimensions)
    try:
        theirs = torch.from_numpy(TEN).as_strided(shape, strides, offset).numpy()
    except RuntimeError:
        theirs = None
    try:
        ours = strided_view(TEN, FLOAT32, (offset, shape, strides), "there")
    except CheckpointError:
        assert theirs is None
        return
    assert np.array_equal(ours, theirs)
    assert not ours.flags.writeable or ours.size == 0


def test_limits_that_are_just_right():
    assert strided_view(TEN, FLOAT32, (9, (), ()), "there") == TEN[9]
    assert strided_view(TEN, FLOAT32, (99, (0,), (99,)), "there").shape == (0,)
    assert strided_view(TEN, FLOAT32, (1, (3, 3), (3, 1)), "there").tolist() == (
        TEN[1:].reshape(3, 3).tolist()
    )
    odd = strided_view(TEN, FLOAT32, (0, (1, 2, 1), (2**63, 9, 2**63)), "there")
    assert odd.tolist() == [[[0.0], [9.0]]]
