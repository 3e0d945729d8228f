from fractions import Fraction

import numpy as np
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from npgpt.checkpoints._tensors import from_bfloat16, to_bfloat16

EVERY = np.arange(2**16, dtype=np.uint16)
LARGEST = 0x7F7F  # the bits of the largest finite bfloat16


def of_torch(bits):
    return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)


def test_every_bfloat16_widens_as_in_torch():
    ours = from_bfloat16(EVERY)
    assert np.array_equal(ours, of_torch(EVERY).float().numpy(), equal_nan=True)


def test_every_bfloat16_comes_back():
    for dtype in (np.float32, np.float64):
        with np.errstate(invalid="ignore"):  # some of the NaN are signalling
            wide = from_bfloat16(EVERY).astype(dtype)
        number = ~np.isnan(wide)
        assert np.array_equal(to_bfloat16(wide)[number], EVERY[number])
        assert np.isnan(from_bfloat16(to_bfloat16(wide))[~number]).all()


@given(arrays(np.uint32, 64))
def test_any_float32_rounds_as_in_torch(bits):
    single = bits.view(np.float32)
    theirs = torch.from_numpy(single).to(torch.bfloat16).float().numpy()
    assert np.array_equal(from_bfloat16(to_bfloat16(single)), theirs, equal_nan=True)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1 + 2**-8)  # a tie
@example(1 + 2**-8 + 2**-40)  # which rounding to float32 first would turn into a tie
@example(-(1 + 3 * 2**-8 - 2**-40))
@example(2.0**-133)
@example(2.0**-134)
@example(2.0**-134 * (1 + 2**-50))
@example(5e-324)
@example(3.4e38)
@example(1e300)
def test_any_float64_rounds_to_the_nearest(value):
    (found,) = to_bfloat16(np.array([value])).tolist()
    magnitude = found & 0x7FFF

    def exact(bits):
        if bits > LARGEST:  # what would be the next step, were the exponent not at its end
            return Fraction(2) ** 128
        return Fraction(float(from_bfloat16(np.array([bits], np.uint16))[0]))

    def distance(bits):
        return abs(exact(bits) - abs(Fraction(value)))

    assert (found >= 0x8000) == (np.signbit(value))
    assert magnitude <= LARGEST + 1
    if magnitude == LARGEST + 1:
        assert abs(Fraction(value)) >= (exact(LARGEST) + exact(LARGEST + 1)) / 2
        return
    for neighbour in (magnitude - 1, magnitude + 1):
        if neighbour >= 0:
            nearer = distance(neighbour) - distance(magnitude)
            assert nearer > 0 or (nearer == 0 and magnitude % 2 == 0)


def test_arguments_are_left_alone_and_shapes_kept():
    for shape in ((), (0, 3), (2, 3)):
        given_array = np.full(shape, 1.7)
        assert to_bfloat16(given_array).shape == shape
        assert from_bfloat16(to_bfloat16(given_array)).shape == shape
        assert np.array_equal(given_array, np.full(shape, 1.7))
