import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.errors import SettingError
from npgpt.ops._softmax import log_softmax, softmax
from oracle import bounds
from oracle import ops as oracle_ops
from oracle.strategies._arrays import LAYOUTS, logits
from tests.helpers.oracle_bounds import DTYPES, held_to_oracle

LEADING = st.lists(st.integers(0, 3), max_size=2).map(tuple)
SHAPES = st.tuples(LEADING, st.integers(1, 9)).map(lambda s: (*s[0], s[1]))
TEMPERATURES = st.sampled_from([1.0, 0.7, 3.0, 0.01, 50.0, 0.0, 1e-300, 1e-40, 1e30, 1e39, 1e300])
FORMS = pytest.mark.parametrize("form", [softmax, log_softmax], ids=["softmax", "log_softmax"])
INF = np.inf


@FORMS
@given(st.data(), TEMPERATURES, DTYPES, st.sampled_from(LAYOUTS))
def test_softmax(form, data, temperature, dtype, layout):
    x = data.draw(logits(SHAPES, dtype=dtype))
    oracle_op, bound = (getattr(module, form.__name__) for module in (oracle_ops, bounds))
    held_to_oracle(form, oracle_op, bound, [x], layout=layout, temperature=temperature)


@given(st.data(), TEMPERATURES, DTYPES)
def test_what_is_impossible_gets_exactly_nothing(data, temperature, dtype):
    x = data.draw(logits(SHAPES, dtype=dtype))
    impossible = np.isneginf(x)
    assert not softmax(x, temperature=temperature)[impossible].any()
    assert np.isneginf(log_softmax(x, temperature=temperature)[impossible]).all()


@given(st.data(), TEMPERATURES, DTYPES)
def test_the_largest_entries_share_equally_and_nothing_is_above_them(data, temperature, dtype):
    x = data.draw(logits((3, 7), dtype=dtype))
    shares = softmax(x, temperature=temperature)
    for row, share in zip(x, shares, strict=True):
        assert np.ptp(share[row == row.max()]) == 0
        assert share.max() == share[row.argmax()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [1.0, 0.0, 1e-300, 2.0, 1e300])
@pytest.mark.parametrize(
    ("row", "shares"),
    [
        ([-INF, -INF], [0, 0]),
        ([INF, 3, INF, -INF], [0.5, 0, 0.5, 0]),
        ([INF, -INF], [1, 0]),
        ([7, -INF], [1, 0]),
        ([-INF, 3, 3], [0, 0.5, 0.5]),
        ([5], [1]),
        ([3e38, 3e38], [0.5, 0.5]),
        ([], []),
    ],
    ids=str,
)
def test_the_limits_are_exact(row, shares, temperature, dtype):
    x = np.array([row, row], dtype)
    expected = np.array([shares, shares], dtype)
    assert np.array_equal(softmax(x, temperature=temperature), expected)
    with np.errstate(divide="ignore"):
        logs = np.log(expected)
    assert np.array_equal(log_softmax(x, temperature=temperature), logs)


@pytest.mark.parametrize("row", [[1.0, 3.0, 3.0, 2.0], [-3e38, 3e38, 3e38, 0.0]], ids=str)
@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-45])
def test_towards_temperature_zero_the_maxima_share_everything(row, temperature):
    for dtype in (np.float32, np.float64):
        shares = softmax(np.array(row, dtype), temperature=temperature)
        assert shares.tolist() == [0, 0.5, 0.5, 0] or np.array(row).argmax() != 1


@FORMS
@pytest.mark.parametrize("temperature", [-1.0, -1e-9, np.nan, -INF, INF])
def test_a_temperature_that_is_none_is_refused(form, temperature):
    with pytest.raises(SettingError, match=str(temperature)):
        form(np.ones(3), temperature=temperature)


@FORMS
@pytest.mark.parametrize("temperature", [1.0, 0.0, 0.5])
def test_nan_spreads_over_its_row_only(form, temperature):
    x = np.array([[1, np.nan, -INF], [1, 2, 3], [np.nan, INF, 0]])
    computed = form(x, temperature=temperature)
    assert np.isnan(computed).all(axis=1).tolist() == [True, False, True]
    assert not np.isnan(computed[1]).any()


@FORMS
def test_an_empty_batch_stays_empty(form):
    assert form(np.ones((0, 3), np.float32)).shape == (0, 3)


@FORMS
def test_the_temperature_is_one_where_none_is_given(form):
    x = np.log([0.5, 0.25, 0.25])
    assert np.array_equal(form(x), form(x, temperature=1.0))
    assert not np.array_equal(form(x), form(x, temperature=0.0))
