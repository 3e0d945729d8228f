import numpy as np
import pytest
from hypothesis import assume, given, target
from hypothesis import strategies as st

from oracle.bounds._compare import excess
from oracle.bounds._softmax import log_softmax, softmax
from oracle.strategies._arrays import logits
from tests.helpers.rounded_sums import ORDERS, total

SLACK = 60  # times the largest honest error on ordinary rows of 50
TEMPERATURES = (1.0, 0.7, 3.0, 0.01, 50.0)


def exact(x, temperature):
    """softmax and log_softmax in float64."""
    x = x.astype(np.float64)
    with np.errstate(all="ignore"):
        z = (x - x.max(-1, keepdims=True)) / temperature
        z = np.where(np.isneginf(x), -np.inf, z)
        logs = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return np.nan_to_num(np.exp(logs), nan=0), np.where(np.isnan(logs), -np.inf, logs)


def shift_first(x, temperature):
    return (x - x.max(-1, keepdims=True)) / x.dtype.type(temperature)


def divide_first(x, temperature):
    quotients = x / x.dtype.type(temperature)
    return quotients - quotients.max(-1, keepdims=True)


@given(
    logits((3, 7)),
    st.sampled_from(TEMPERATURES),
    st.sampled_from([shift_first, divide_first]),
    st.sampled_from(ORDERS),
)
def test_no_honest_form_exceeds_the_bound(x, temperature, shift, order):
    finite = np.abs(x[np.isfinite(x)].astype(np.float64))
    # Dividing first is honest only where the quotients do not overflow.
    assume(shift is shift_first or finite.max(initial=0) / temperature < np.finfo(x.dtype).max)
    with np.errstate(all="ignore"):
        z = shift(x, temperature)
        weights = np.exp(np.where(np.isneginf(x), -np.inf, z))
        sums = total(weights, order)
        shares, logs = weights / sums, np.where(np.isneginf(x), -np.inf, z - np.log(sums))
    # What a row of nothing but −inf gives is for the implementation to say.
    sane = ~np.isnan(shares).any(-1)
    allowed = softmax(x, temperature=temperature, dtype=np.float32)
    log_allowed = log_softmax(x, temperature=temperature, dtype=np.float32)
    expected, log_expected = exact(x, temperature)
    promised = np.isfinite(log_allowed) & sane[:, None]
    worst = max(
        excess(shares[sane], expected[sane], allowed[sane]),
        excess(logs[promised], log_expected[promised], log_allowed[promised]),
    )
    target(min(worst, 10.0))
    assert worst <= 1


@given(logits((2, 5)), st.sampled_from([0.0, 1e-300, 1e-40, *TEMPERATURES, 1e30]))
def test_the_bounds_are_numbers_and_zero_where_nothing_is_allowed(x, temperature):
    for bound in (softmax, log_softmax):
        allowed = bound(x, temperature=temperature, dtype=np.float32)
        assert not np.isnan(allowed).any()
        assert (allowed >= 0).all()
        assert (allowed[np.isneginf(x)] == 0).all()


def test_shares_of_the_limit_are_nearly_exact():
    row = np.array([1.0, 3.0, 3.0, 2.0])
    for temperature in (0.0, 1e-300):
        allowed = softmax(row, temperature=temperature, dtype=np.float32)
        assert allowed.max() < 20 * 2.0**-24


def test_the_bounds_are_not_far_above_honest_errors():
    x = np.random.default_rng(0).standard_normal((20, 50)).astype(np.float32)
    z = shift_first(x, 1.0)
    sums = total(np.exp(z), "pairwise")
    expected, log_expected = exact(x, 1.0)
    shares = excess(np.exp(z) / sums, expected, softmax(x, dtype=np.float32))
    logs = excess(z - np.log(sums), log_expected, log_softmax(x, dtype=np.float32))
    assert 1 / SLACK < shares <= 1
    assert 1 / SLACK < logs <= 1


BUGS = {
    "softmax-no-max": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "softmax-base-2": lambda x: np.exp2(x - 100) / np.exp2(x - 100).sum(-1, keepdims=True),
    "softmax-wrong-axis": lambda x: np.exp(x - 100) / np.exp(x - 100).sum(0, keepdims=True),
    "softmax-adds-epsilon": lambda x: (
        np.exp(x - 100) / (np.exp(x - 100).sum(-1, keepdims=True) + 1e-4)
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_bugs_exceed_it(bug):
    x = (100 + np.random.default_rng(0).standard_normal((4, 6))).astype(np.float32)
    with np.errstate(all="ignore"):
        computed = BUGS[bug](x)
    expected, _ = exact(x, 1.0)
    assert excess(computed, expected, softmax(x, dtype=np.float32)) > 1.5


def test_no_bound_for_a_logarithm_that_overflows():
    x = np.array([-3e38, 3e38], np.float32)
    assert log_softmax(x, dtype=np.float32).tolist()[0] == np.inf
