"""What a reading shows of the clean PyTorch path is what the oracle's op gives, and a bug shows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oracle.adapters import pytorch
from oracle.adapters.guard import Misbehaviour, guarded
from oracle.conformance._catalogue import named as checks_named
from oracle.conformance._explore import collect
from oracle.conformance._localise import localise
from oracle.conformance._parts import activation, normed, pattern
from oracle.conformance._power import mutated
from oracle.conformance._readings import LINES, lines
from oracle.mutants._catalogue import named
from oracle.strategies._configs import ACTIVATIONS, EPSILONS

DTYPES = ("float32", "float64")
CLEAN = {dtype: pytorch.subject(dtype=dtype) for dtype in (*DTYPES, "bfloat16", "float16")}
# Each example is a whole model.
models = settings(max_examples=50)
numbers = st.floats(-50, 50, width=32)
small = st.floats(-4, 4, width=32)


def subject_with(id, dtype="float32"):
    return mutated(named(id), dtype)


@st.composite
def norm_problems(draw, *, least):
    n = draw(st.integers(least, 9))
    triple = [draw(arrays(np.float32, n, elements=e)) for e in (numbers, small, small)]
    return *triple, draw(st.sampled_from(EPSILONS))


@st.composite
def looks(draw):
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    return tuple(draw(arrays(np.float32, shape, elements=small)) for _ in range(2))


@pytest.mark.parametrize("dtype", DTYPES)
@models
@given(data=st.data(), name=st.sampled_from(ACTIVATIONS))
def test_reads_the_activation(dtype, data, name):
    xs = data.draw(arrays(np.float32, data.draw(st.integers(1, 9)), elements=numbers))
    assert not activation(CLEAN[dtype], name, xs).wrong.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "least"), [("ln_f", 1), ("ln_1", 3)])
@models
@given(data=st.data())
def test_reads_layer_norms(dtype, name, least, data):
    problem = data.draw(norm_problems(least=least))
    assert not normed(CLEAN[dtype], *problem, name=name).wrong.any()


@pytest.mark.parametrize("dtype", DTYPES)
@models
@given(problem=looks(), scaled=st.booleans())
def test_reads_the_pattern(dtype, problem, scaled):
    found = pattern(CLEAN[dtype], *problem, config={"scale_attn_weights": scaled})
    assert not found.wrong.any()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_dtypes_are_read_within_their_own_rounding(dtype):
    rng = np.random.default_rng(0)
    for _ in range(20):
        xs, gain, bias = rng.standard_normal((3, 6))
        q, k = rng.standard_normal((2, 4, 2))
        readings = [
            activation(CLEAN[dtype], "gelu_new", xs),
            normed(CLEAN[dtype], xs, gain, bias, 1e-5),
            normed(CLEAN[dtype], xs, gain, bias, 1e-5, name="ln_1"),
            pattern(CLEAN[dtype], q, k),
        ]
        assert not any(reading.wrong.any() for reading in readings)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_reading_is_good_to_a_few_roundings(dtype):
    """A bound that allows much would see nothing."""
    unit = np.finfo(dtype).eps / 2
    assert activation(CLEAN[dtype], "gelu_new", [-1.0, 2.0]).allowed.max() < 100 * unit
    row = [1.0, -2.0, 0.5, 3.0]
    assert normed(CLEAN[dtype], row, row, row, 1e-5, name="ln_1").allowed.max() < 500 * unit
    zeros = np.zeros((4, 1))
    assert pattern(CLEAN[dtype], zeros, zeros).allowed.max() < 500 * unit


@pytest.mark.parametrize("dtype", DTYPES)
def test_shows_the_exact_gelu(dtype):
    xs = [-1.0, 1.0]
    found = activation(subject_with("gelu-erf", dtype), "gelu_new", xs)
    assert found.wrong.all()
    assert not (
        np.abs(found.values - activation(CLEAN[dtype], "gelu", xs).expected) > found.allowed
    ).any()


@pytest.mark.parametrize("name", ["ln_f", "ln_1"])
def test_shows_bessels_correction(name):
    """The norm that is read divides by n − 1 too; through that alone the reading stays right."""
    row = np.array([1.0, -2.0, 0.5, 3.0, -1.5])
    found = normed(subject_with("layernorm-bessel"), row, row**0, 0 * row, 1e-12, name=name)
    bessel = (row - row.mean()) / row.std(ddof=1)
    assert found.wrong.all()
    assert (np.abs(found.values - bessel) <= found.allowed).all()


def test_shows_a_missing_causal_mask():
    zeros = np.zeros((3, 1))
    found = pattern(subject_with("no-causal-mask"), zeros, zeros)
    assert (np.abs(found.values - 1 / 3) <= found.allowed.max()).all()
    assert found.wrong.tolist() == [[True] * 3, [True] * 3, [False] * 3]


def test_a_row_too_short_for_ln_1_is_refused():
    with pytest.raises(ValueError, match="at least 3"):
        normed(CLEAN["float32"], [1, 2], [1, 1], [0, 0], 1e-5, name="ln_1")


def failing(subject):
    """Where the subject goes wrong, given a plain model wide enough to have a variance."""
    check = checks_named("model/logits")[0]
    wide = [e for e in collect(check.examples(subject), 12) if e.config["n_embd"] > 3][:2]
    return localise(subject, wide, dtype=subject.dtype)


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("gelu-erf", "at x = -1 it gives -0.15866; it is -0.15881"),
        ("layernorm-bessel", "ln_f of [1, -2, 0.5, 3, -1.5], weight [1, 1, 1, 1, 1], bias [0, 0, "),
        ("layernorm-eps-1e-6", "so it computes with an epsilon of 1e-06"),
        ("no-causal-mask", "position 0 looks at 1: it gives "),
        ("scale-by-embd", "position 1 looks at 0: it gives 0.19557; it is 0.1192"),
    ],
)
def test_lines_say_what_is_wrong(id, says):
    subject = subject_with(id)
    found = lines(subject, failing(subject))
    assert 1 <= len(found) <= LINES
    assert any(says in line for line in found)


def test_lines_of_the_norm_before_attention():
    """The divergence is as it would be where only that norm were wrong."""
    subject = subject_with("layernorm-no-bias")
    divergence = failing(subject_with("gelu-erf"))
    found = lines(subject, replace(divergence, component="layer norm before attention"))
    assert "weight [1, 0.5, 2, 1, -1], bias [0, 0.25, -0.5, 0, 1]" in found[0]
    assert len(found) == 4  # of the five biases two are 0


def test_no_lines_where_no_reading_shows_it():
    subject = subject_with("gelu-erf")
    divergence = failing(subject)
    assert lines(CLEAN["float32"], divergence) == []
    assert lines(subject, replace(divergence, component="token embedding")) == []


@pytest.mark.parametrize(
    "logits",
    [
        lambda config, weights, tokens, mask: np.zeros(3),
        lambda config, weights, tokens, mask: None,
        lambda config, weights, tokens, mask: np.zeros((*tokens.shape, config["vocab_size"])),
        lambda config, weights, tokens, mask: weights["no such tensor"],
    ],
)
def test_no_lines_of_a_subject_that_cannot_be_read(logits):
    divergence = failing(subject_with("gelu-erf"))
    subject = guarded(replace(CLEAN["float32"], logits=logits))
    for component in (
        "activation",
        "final layer norm",
        "layer norm before attention",
        "causal mask",
    ):
        found = lines(subject, replace(divergence, component=component))
        assert found == [] or (component == "final layer norm" and "0; it is" in found[1])


def test_what_is_no_logits_is_said():
    subject = guarded(replace(CLEAN["float32"], logits=lambda *arguments: np.zeros(3)))
    with pytest.raises(Misbehaviour, match="shape"):
        activation(subject, "gelu_new", [1.0])
