import numpy as np
import pytest

from oracle.bounds._rounding import FORMATS, format_of, gamma


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_formats_are_those_of_numpy(dtype):
    form, finfo = format_of(dtype), np.finfo(dtype)
    assert form == FORMATS[np.dtype(dtype).name]
    assert form.unit == float(finfo.eps) / 2
    assert form.normal == float(finfo.smallest_normal)
    assert form.subnormal == float(finfo.smallest_subnormal)
    assert form.largest == float(finfo.max)


def test_bfloat16_is_float32_cut_to_16_bits():
    cut = np.array([0x7F7F0000, 0x00800000, 0x00010000], np.uint32).view(np.float32)
    form = format_of("bfloat16")
    assert [form.largest, form.normal, form.subnormal] == [float(x) for x in cut]


def test_gamma_bounds_a_product_of_rounding_errors():
    u = format_of("float16").unit
    for n in (1, 2, 10, 100):
        assert (1 + u) ** n - 1 <= gamma(n, "float16")
        assert (1 - u) ** -n - 1 <= gamma(n, "float16")
        assert gamma(n, "float16") <= 1.06 * n * u


def test_gamma_promises_nothing_once_all_digits_may_be_lost():
    assert gamma(2**8, "bfloat16") == np.inf
