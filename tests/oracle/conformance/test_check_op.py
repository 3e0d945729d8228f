"""check_op in a test of one's own: what passes, and what the message of a failure says."""

import inspect
import re

import numpy as np
import pytest
import torch

import oracle
from oracle.conformance import SIGNATURES
from oracle.ops._layer_norm import layer_norm as reference


def layer_norm(x, weight, bias, *, eps):
    d = x - x.mean(-1, keepdims=True)
    variance = np.square(d).mean(-1, keepdims=True)
    return d / np.sqrt(variance + np.asarray(eps, x.dtype)) * weight + bias


def bessel(x, weight, bias, *, eps):
    d = x - x.mean(-1, keepdims=True)
    variance = np.square(d).sum(-1, keepdims=True) / max(x.shape[-1] - 1, 1)
    return d / np.sqrt(variance + np.asarray(eps, x.dtype)) * weight + bias


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", np.float16, torch.float16])
def test_a_right_kernel_is_right(dtype):
    result = oracle.check_op("layer_norm", layer_norm, dtype=dtype, examples=40, sizes="toy")
    assert result.op == "layer_norm"
    assert result.dtype in str(dtype)
    assert result.examples == 40
    assert 0 < result.error <= 1


def test_a_seed_says_which_examples():
    def seen(seed):
        drawn = []

        def relu(x):
            drawn.append(x.tobytes())
            return x * (x > 0)

        return oracle.check_op("relu", relu, seed=seed, examples=20, sizes="toy").seed, drawn

    assert seen(0) == seen(0)
    assert seen(3)[1] == seen(3)[1] != seen(0)[1]
    first, again = seen(None)[0], seen(None)[0]
    assert first != again


def test_an_unknown_size_lists_them_all():
    with pytest.raises(ValueError, match="no size is named 'huge'; the sizes are toy, borders, gp"):
        oracle.check_op("layer_norm", layer_norm, sizes="huge")


def test_all_examples_of_float16_are_decided():
    assert oracle.check_op("layer_norm", layer_norm, dtype="float16").ties == 0


@pytest.mark.parametrize(
    ("dtype", "kind"), [("float64", "f8"), ("float32", "f4"), ("float16", "f2"), ("bfloat16", "f4")]
)
def test_the_kernel_gets_arrays_of_its_dtype(dtype, kind):
    kinds = set()

    def embedding(ids, weight):
        kinds.add((ids.dtype.name, weight.dtype.str[1:]))
        if dtype == "bfloat16":
            assert (torch.from_numpy(weight).bfloat16().float().numpy() == weight).all()
        return weight[ids]

    oracle.check_op("embedding", embedding, dtype=dtype, examples=20, sizes="toy")
    assert kinds == {("int64", kind)}


def test_tensors_of_pytorch_are_read():
    def kernel(x, weight, bias, *, eps):
        tensors = (torch.from_numpy(a).bfloat16() for a in (x, weight, bias))
        return reference(*tensors, eps=eps)

    oracle.check_op("layer_norm", kernel, dtype="bfloat16", examples=40, sizes="toy")


def test_the_message_has_the_example_the_index_both_values_and_what_is_allowed():
    with pytest.raises(AssertionError) as caught:
        oracle.check_op("layer_norm", bessel, dtype="float16", examples=60, sizes="toy")
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("layer_norm(x, weight, bias, *, eps) in float16 is wrong for ")
    assert [line.split(" = ")[0].strip() for line in lines[:4]] == ["x", "weight", "bias", "eps"]
    assert "dtype=float16)" in lines[0]
    assert "it gave" in lines[4]
    assert "±" in lines[4]


def test_a_bug_that_only_large_arrays_show_is_told_by_its_size():
    def in_tiles_of_64(x, weight, bias, *, eps):
        answer = layer_norm(x, weight, bias, eps=eps)
        answer[..., x.shape[-1] // 64 * 64 :] *= 1 if x.shape[-1] < 64 else 0
        return answer

    assert oracle.check_op("layer_norm", in_tiles_of_64, sizes="toy", examples=20).error <= 1
    with pytest.raises(oracle.WrongOp) as caught:
        oracle.check_op("layer_norm", in_tiles_of_64)
    width = caught.value.arguments["x"].shape[-1]
    assert width > 64
    assert f"    x: float32 of shape (2, {width})\n" in str(caught.value)
    assert re.search(rf"\nwidth {width}: at \[[01], 64\] it gave 0; it is ", str(caught.value))


def test_nothing_is_said_of_hypothesis(recwarn):
    with pytest.raises(oracle.WrongOp):
        oracle.check_op("relu", lambda x: np.where(x.shape[-1] > 1000, 0, x * (x > 0)))
    assert not list(recwarn)


def test_the_arguments_of_the_failure_come_with_it():
    with pytest.raises(oracle.WrongOp) as caught:
        oracle.check_op("layer_norm", bessel, examples=60, sizes="toy")
    arguments = caught.value.arguments
    once, right = (kernel(**arguments).astype(float) for kernel in (bessel, layer_norm))
    assert not np.allclose(once, right)
    assert f"x = {arguments['x']!r}" in str(caught.value)


def test_a_known_bug_is_named():
    def exact_gelu(x):
        return torch.nn.functional.gelu(torch.from_numpy(x)).numpy()

    with pytest.raises(AssertionError, match=r"\nit behaves like gelu-erf: .*nanoGPT"):
        oracle.check_op("gelu_new", exact_gelu, dtype="float64", sizes="toy")


def raising(x):
    raise RuntimeError("no kernel for this shape")


def writing(x):
    x[:] = 0
    return x


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        (raising, "RuntimeError: no kernel for this shape"),
        (writing, "changed its argument"),
        (lambda x: None, "answered None; expected an array of numbers"),
        (lambda x: x[..., :1], "expected (1, 2)"),
        (lambda x: np.full_like(x, np.nan), "it gave nan; it is"),
        (lambda x: x > 0, "it gave ndarray, not numbers"),
    ],
)
def test_what_is_no_answer_is_told(kernel, says):
    with pytest.raises(AssertionError) as caught:
        oracle.check_op("relu", kernel, examples=20, sizes="toy")
    assert says in str(caught.value)


def test_what_is_refused_everywhere_is_no_success():
    def later(x):
        raise NotImplementedError("not on this machine")

    with pytest.raises(
        AssertionError, match=r"undecided for 20 of 20 examples of seed 0: it was refused:"
    ):
        oracle.check_op("relu", later, examples=20, sizes="toy")


@pytest.mark.parametrize(
    ("op", "near"),
    [("layernorm", "layer_norm"), ("log_softmx", "log_softmax"), ("gelu-new", "gelu_new")],
)
def test_a_wrong_op_suggests_the_nearest(op, near):
    with pytest.raises(ValueError, match=f"there is no op '{op}', but there is {near}\\("):
        oracle.check_op(op, layer_norm)


def test_an_op_like_none_lists_them_all():
    with pytest.raises(ValueError, match="there is no op 'convolution'; the ops are embedding, li"):
        oracle.check_op("convolution", layer_norm)


@pytest.mark.parametrize("dtype", ["float8", np.int64, 32, None])
def test_a_wrong_dtype_lists_them_all(dtype):
    with pytest.raises(ValueError, match="expected one of float64, float32, float16, bfloat16"):
        oracle.check_op("layer_norm", layer_norm, dtype=dtype)


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        (lambda x: x, "(x) cannot be called as layer_norm(x, weight, bias, *, eps): too many"),
        (lambda x, w, b, epsilon: x, "(x, w, b, epsilon) cannot be called as"),
        (lambda x, w, b, *, eps, out: x, "missing a required argument: 'out'"),
        (3, "3 is no function; layer_norm is called as layer_norm(x, weight, bias, *, eps)"),
    ],
)
def test_a_function_of_another_signature_is_told(kernel, says):
    with pytest.raises(TypeError) as caught:
        oracle.check_op("layer_norm", kernel)
    assert says in str(caught.value)


def test_a_function_that_tells_nothing_of_its_signature_is_called():
    with pytest.raises(oracle.WrongOp, match="gave shape"):
        oracle.check_op("relu", max, examples=20, sizes="toy")


def test_each_signature_is_that_of_the_reference():
    from oracle.conformance._checks.ops import OPS

    for name, written in SIGNATURES.items():
        has = [p for p in inspect.signature(OPS[name].reference).parameters if p != "dtype"]
        wanted = written[written.index("(") + 1 : -1].replace("*, ", "").split(", ")
        assert wanted == has[: len(wanted)], name
