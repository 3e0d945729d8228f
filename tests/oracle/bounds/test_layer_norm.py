import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from oracle.bounds._compare import excess
from oracle.bounds._layer_norm import layer_norm
from oracle.strategies._arrays import KINDS, arrays
from tests.helpers.rounded_sums import ORDERS, total

EPS = 1e-5
SLACK = 60  # times the largest honest error on ordinary rows of 64


def exact(x, weight, bias, eps=EPS):
    x = x.astype(np.float64)
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt(np.square(d).mean(-1, keepdims=True) + eps) * weight + bias


def two_pass(x, weight, bias, order, eps=EPS):
    n, eps = x.dtype.type(x.shape[-1]), x.dtype.type(eps)
    d = x - total(x, order) / n
    variance = total(d * d, order) / n
    return d / np.sqrt(variance + eps) * weight + bias


def welford(x, weight, bias, order, eps=EPS):
    """One pass, as in torch: the running mean and the running sum of squared deviations."""
    mean, squares = np.zeros_like(x[..., :1]), np.zeros_like(x[..., :1])
    for i in range(x.shape[-1]):
        column, count = x[..., i : i + 1], x.dtype.type(i + 1)
        before = column - mean
        mean = mean + before / count
        squares = squares + before * (column - mean)
    scale = 1 / np.sqrt(squares / x.dtype.type(x.shape[-1]) + x.dtype.type(eps))
    return (x - mean) * scale * weight + bias


def one_pass(x, weight, bias, order, eps=EPS):
    n, eps = x.dtype.type(x.shape[-1]), x.dtype.type(eps)
    mean = total(x, order) / n
    variance = total(x * x, order) / n - mean * mean
    return (x - mean) / np.sqrt(np.maximum(variance, 0) + eps) * weight + bias


@given(st.data(), st.sampled_from([two_pass, welford]), st.sampled_from(ORDERS))
def test_no_honest_algorithm_exceeds_the_bound(data, algorithm, order):
    n = data.draw(st.integers(1, 17))
    x, weight, bias = (
        data.draw(arrays(shape, kinds=tuple(KINDS))) for shape in ((3, n), (n,), (n,))
    )
    eps = data.draw(st.sampled_from([1e-5, 1e-12, 1e-3, 0.0]))
    with np.errstate(all="ignore"):
        computed = algorithm(x, weight, bias, order, eps)
        expected = exact(x, weight, bias, eps)
    allowed = layer_norm(x, weight, bias, eps=eps, dtype=np.float32)
    promised = np.isfinite(allowed)
    worst = excess(computed[promised], expected[promised], allowed[promised])
    target(min(worst, 10.0))
    assert worst <= 1


def ordinary(n=64, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((20, n), n, n))
    return x * np.float32(scale), weight, bias


def ratio(computed, case):
    return excess(computed, exact(*case), layer_norm(*case, eps=EPS, dtype=np.float32))


@pytest.mark.parametrize("algorithm", [two_pass, welford])
def test_the_bound_is_not_far_above_honest_errors(algorithm):
    case = ordinary()
    assert 1 / SLACK < ratio(algorithm(*case, "pairwise"), case) <= 1


def test_the_mean_of_squares_less_the_square_of_the_mean_exceeds_it_on_offset_rows():
    x, weight, bias = ordinary()
    case = (x + np.float32(1000), weight, bias)
    assert ratio(two_pass(*case, "pairwise"), case) <= 1
    assert ratio(one_pass(*case, "pairwise"), case) > 2


def with_deviation(deviation):
    def wrong(x, weight, bias):
        d = x.astype(np.float64) - x.mean(-1, keepdims=True, dtype=np.float64)
        return d / deviation(d, np.square(d).mean(-1, keepdims=True)) * weight + bias

    return wrong


BUGS = {
    "layernorm-eps-outside": with_deviation(lambda d, v: np.sqrt(v) + EPS),
    "layernorm-eps-zero": with_deviation(lambda d, v: np.sqrt(v)),
    "layernorm-bessel": with_deviation(
        lambda d, v: np.sqrt(v * d.shape[-1] / (d.shape[-1] - 1) + EPS)
    ),
    "layernorm-square": with_deviation(lambda d, v: v + EPS),
    "layernorm-mean-left-in": lambda x, weight, bias: (
        x / np.sqrt(np.square(x).mean(-1, keepdims=True) + EPS) * weight + bias
    ),
}


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize(("scale", "least"), [(1.0, 1.5), (0.01, 1000)])
def test_bugs_exceed_it(bug, scale, least):
    """On ordinary rows of eight, and by far on rows whose variance is near epsilon."""
    case = ordinary(n=8, scale=scale)
    assert ratio(BUGS[bug](*case), case) > least


def test_leaving_out_epsilon_gives_nan_on_constant_rows():
    x, weight, bias = np.ones((1, 4), np.float32), np.ones(4), np.zeros(4)
    with np.errstate(invalid="ignore"):
        computed = BUGS["layernorm-eps-zero"](x, weight, bias)
    assert ratio(computed, (x, weight, bias)) == np.inf


def test_no_bound_where_squares_overflow():
    case = (np.array([[1e20, -1e20]], np.float32), np.ones(2), np.zeros(2))
    assert (layer_norm(*case, eps=EPS, dtype=np.float32) == np.inf).all()
