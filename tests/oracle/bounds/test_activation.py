import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st
from scipy import special

from oracle.bounds import _activation as activation
from oracle.bounds._compare import excess
from oracle.strategies._arrays import KINDS, arrays

SLACK = 30  # times the largest honest error on ordinary numbers
SPREAD = np.linspace(-6, 6, 999, dtype=np.float32)


def tanh_argument(x):
    return np.sqrt(x.dtype.type(2 / np.pi)) * (x + x.dtype.type(0.044715) * x * x * x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Exact: float64, in forms that cancel nowhere.
EXACT = {
    "gelu_new": lambda x: x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)),
    "gelu": lambda x: x * special.ndtr(x),
    "silu": lambda x: x * special.expit(x),
    "relu": lambda x: np.where(x > 0, x, 0),
}
# Honest forms, each step rounded to x's dtype.
HONEST = {
    "gelu_new": (
        lambda x: x / 2 * (1 + np.tanh(tanh_argument(x))),
        lambda x: x * (1 + np.tanh(tanh_argument(x))) * x.dtype.type(0.5),
        lambda x: x * sigmoid(2 * tanh_argument(x)),
    ),
    "gelu": (
        lambda x: x / 2 * (1 + special.erf(x / np.sqrt(x.dtype.type(2)))),
        lambda x: x / 2 * special.erfc(-x * np.sqrt(x.dtype.type(0.5))),
    ),
    "silu": (lambda x: x / (1 + np.exp(-x)), lambda x: x * sigmoid(x)),
    "relu": (lambda x: np.maximum(x, 0),),
}
FORMS = [(name, form) for name, forms in HONEST.items() for form in forms]


@given(
    st.sampled_from(FORMS),
    st.sampled_from([1.0, 3.0, 10.0, 30.0]),
    arrays((40,), kinds=tuple(kind for kind in KINDS if kind != "near_overflow")),
)
def test_no_honest_form_exceeds_the_bound(form, scale, x):
    name, function = form
    x = x * np.float32(scale)
    with np.errstate(all="ignore"):
        computed, expected = function(x), EXACT[name](x.astype(np.float64))
    # −inf and 0 · inf where a cube or exp overflows: the form's own limit, not rounding.
    computed = np.where(np.isnan(computed), 0, computed)
    worst = excess(computed, expected, activation.ACTIVATIONS[name](x, dtype=np.float32))
    target(min(worst, 10.0))
    assert worst <= 1


@given(st.sampled_from(sorted(activation.ACTIVATIONS)), arrays((9,), kinds=tuple(KINDS)))
def test_every_bound_is_a_number(name, x):
    allowed = activation.ACTIVATIONS[name](x, dtype=np.float32)
    assert (allowed >= 0).all()
    assert np.isfinite(allowed).all()


@pytest.mark.parametrize("form", FORMS[:-1], ids=lambda form: form[0])
def test_the_bound_is_not_far_above_honest_errors(form):
    name, function = form
    allowed = activation.ACTIVATIONS[name](SPREAD, dtype=np.float32)
    ratio = excess(function(SPREAD), EXACT[name](SPREAD.astype(np.float64)), allowed)
    assert 1 / SLACK < ratio <= 1


BUGS = {
    "gelu-erf": ("gelu_new", EXACT["gelu"]),
    "gelu-tanh": ("gelu", EXACT["gelu_new"]),
    "gelu-sigmoid": ("gelu_new", lambda x: x * special.expit(1.702 * x)),
    "gelu-cubic-0.0447": (
        "gelu_new",
        lambda x: x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.0447 * x**3)),
    ),
    "silu-no-product": ("silu", special.expit),
    "relu6": ("relu", lambda x: np.clip(x, 0, 5)),
}


@pytest.mark.parametrize("bug", BUGS)
def test_bugs_exceed_it(bug):
    name, wrong = BUGS[bug]
    x = SPREAD.astype(np.float64)
    allowed = activation.ACTIVATIONS[name](SPREAD, dtype=np.float32)
    assert excess(wrong(x), EXACT[name](x), allowed) > 5
    if bug != "gelu-cubic-0.0447":
        assert excess(wrong(x), EXACT[name](x), allowed) > 500
