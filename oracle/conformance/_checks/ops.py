"""Checks of single ops, each held to the bound that follows from its own arithmetic.

The arrays are float64 for a subject that claims float64, else float32, exact in its dtype.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from oracle import bounds
from oracle.adapters.guard import Misbehaviour, apart
from oracle.adapters.subject import Subject
from oracle.bounds._compare import excess, shares
from oracle.bounds._rounding import Array
from oracle.conformance._check import MATCH, MISMATCH, TIE, Check, Finding
from oracle.conformance._model_examples import in_dtype
from oracle.ops._activation import ACTIVATIONS
from oracle.ops._attention import attention
from oracle.ops._embedding import embedding
from oracle.ops._layer_norm import layer_norm
from oracle.ops._linear import linear
from oracle.ops._softmax import log_softmax, softmax
from oracle.strategies._arrays import FINITE_KINDS, MAX_SEED, arrays, logits
from oracle.strategies._configs import EPSILONS

# Kinds of arrays whose squares stay far from float16's largest number.
SMALL_KINDS = ("integers", "ordinary", "constant_rows", "ties", "near_ties", "tiny", "subnormal")

# A normal number of every format, float16 included.
NORMAL_EPSILON = 1e-3

Draw = Callable[[st.DrawFn, str], tuple[dict[str, Array], dict[str, Any]]]


@dataclass(frozen=True)
class Op:
    """signature: how a subject is called. draw: the arrays, and what else, by parameter name."""

    signature: str
    reference: Callable[..., torch.Tensor]
    bound: Callable[..., Any]
    draw: Draw


def floats(dtype: str) -> type[np.floating[Any]]:
    """The dtype whose range the numbers keep to: bfloat16's is float32's."""
    return np.float32 if dtype == "bfloat16" else np.dtype(dtype).type


def _kinds(dtype: str) -> tuple[str, ...]:
    return SMALL_KINDS if dtype == "float16" else FINITE_KINDS


def _array(draw: st.DrawFn, dtype: str, *shape: int) -> Array:
    return draw(arrays(shape, dtype=floats(dtype), kinds=_kinds(dtype)))


def _draw_x(draw: st.DrawFn, dtype: str) -> tuple[dict[str, Array], dict[str, Any]]:
    return {"x": _array(draw, dtype, draw(st.integers(1, 4)), draw(st.integers(1, 17)))}, {}


def _draw_logits(draw: st.DrawFn, dtype: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Some tokens may be ruled out, but not all of a row: that has no softmax."""
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    drawn = draw(logits(shape, dtype=floats(dtype), kinds=_kinds(dtype)))
    drawn[np.isneginf(drawn).all(-1)] = 0
    return {"logits": drawn}, {"temperature": draw(st.sampled_from([1.0, 0.7, 3.0, 0.01, 50.0]))}


def _draw_layer_norm(draw: st.DrawFn, dtype: str) -> tuple[dict[str, Array], dict[str, Any]]:
    rows, width = draw(st.integers(1, 4)), draw(st.integers(1, 17))
    shapes = {"x": (rows, width), "weight": (width,), "bias": (width,)}
    drawn = {name: _array(draw, dtype, *shape) for name, shape in shapes.items()}
    # Those that float16 cannot hold leave a constant row without a layer norm.
    known = [eps for eps in EPSILONS if dtype != "float16" or eps >= 1e-6]
    eps = draw(st.sampled_from(known))
    wide = [exact(dtype, array).astype(np.float64) for array in drawn.values()]
    if not np.isfinite(bounds.layer_norm(*wide, eps=eps, dtype=dtype)).any():
        # Such as a constant row in float16 with GPT-2's own, which is no normal number there.
        eps = NORMAL_EPSILON
    return drawn, {"eps": eps}


def _draw_linear(draw: st.DrawFn, dtype: str) -> tuple[dict[str, Array], dict[str, Any]]:
    rows, inner, outer = (draw(st.integers(1, most)) for most in (4, 17, 9))
    shapes = {"x": (rows, inner), "weight": (inner, outer), "bias": (outer,)}
    return {name: _array(draw, dtype, *shape) for name, shape in shapes.items()}, {}


def _draw_embedding(draw: st.DrawFn, dtype: str) -> tuple[dict[str, Array], dict[str, Any]]:
    rows, width = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, MAX_SEED)))
    ids = rng.integers(0, rows, (draw(st.integers(1, 3)), draw(st.integers(1, 4))))
    return {"ids": ids, "weight": _array(draw, dtype, rows, width)}, {}


def _draw_attention(draw: st.DrawFn, dtype: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Any mask under which every query may look at something."""
    batch, head, query, key, width = (draw(st.integers(1, most)) for most in (2, 2, 5, 6, 5))
    lengths = {"query": query, "key": key, "value": key}
    drawn = {n: _array(draw, dtype, batch, head, size, width) for n, size in lengths.items()}
    rng = np.random.default_rng(draw(st.integers(0, MAX_SEED)))
    mask = rng.random((batch, head, query, key)) < draw(st.sampled_from([1.0, 0.6, 0.2]))
    mask[~mask.any(-1)] = True
    scale = draw(st.sampled_from([1.0, 0.5, 0.125, 1 / 3]))
    return drawn, {"mask": mask, "scale": scale}


def _activation(name: str, bound: Callable[..., Any]) -> Op:
    return Op(f"{name}(x)", ACTIVATIONS[name], bound, _draw_x)


OPS: Mapping[str, Op] = {
    "embedding": Op("embedding(ids, weight)", embedding, bounds.embedding, _draw_embedding),
    "linear": Op("linear(x, weight, bias)", linear, bounds.linear, _draw_linear),
    "layer_norm": Op(
        "layer_norm(x, weight, bias, *, eps)",
        layer_norm,
        bounds.layer_norm,
        _draw_layer_norm,
    ),
    "gelu_new": _activation("gelu_new", bounds.gelu_new),
    "gelu": _activation("gelu", bounds.gelu),
    "relu": _activation("relu", bounds.relu),
    "silu": _activation("silu", bounds.silu),
    "softmax": Op("softmax(logits, *, temperature)", softmax, bounds.softmax, _draw_logits),
    "log_softmax": Op(
        "log_softmax(logits, *, temperature)",
        log_softmax,
        bounds.log_softmax,
        _draw_logits,
    ),
    "attention": Op(
        "attention(query, key, value, *, mask, scale)",
        attention,
        bounds.attention,
        _draw_attention,
    ),
}
# What a subject's ops are called with; mask is bool, True where a query may look.
SIGNATURES = {name: op.signature for name, op in OPS.items()}


@dataclass(frozen=True)
class OpExample:
    """The arguments of an op: arrays by position, the others by name."""

    arrays: dict[str, Array]
    options: dict[str, Any]


@st.composite
def op_examples(draw: st.DrawFn, op: Op, dtype: str) -> OpExample:
    """Arguments for the op, exact in dtype."""
    drawn, options = op.draw(draw, dtype)
    rounded = {n: exact(dtype, a) if a.dtype.kind == "f" else a for n, a in drawn.items()}
    return OpExample(rounded, options)


def exact(dtype: str, array: Array) -> Array:
    """The array with every number rounded to one that the dtype holds."""
    return in_dtype(dtype, array.astype(np.float64 if dtype == "float64" else np.float32))


def limits(op: Op, dtype: str, example: OpExample) -> tuple[Array, Any]:
    """The float64 reference, and what the subject's rounding and the reference's own may do."""
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in example.arrays.values()]
    options = {
        n: torch.from_numpy(v) if isinstance(v, np.ndarray) else v
        for n, v in example.options.items()
    }
    reference = op.reference(*map(torch.from_numpy, wide), **options).numpy()
    allowed = sum(op.bound(*wide, **example.options, dtype=name) for name in (dtype, "float64"))
    return reference, allowed


def _judge(op: Op, dtype: str, example: OpExample, answer: Any) -> Finding:
    if isinstance(answer, Misbehaviour):
        return Finding(MISMATCH, math.inf, answer.says)
    return compared(answer, *limits(op, dtype, example))


def compared(answer: Any, reference: Array, allowed: Any) -> Finding:
    """An answer beside the reference, off by `allowed` at most."""
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "fiu":
        return Finding(MISMATCH, math.inf, f"it gave {type(answer).__name__}, not numbers")
    if answer.shape != reference.shape:
        says = f"it gave shape {answer.shape}; expected {reference.shape}"
        return Finding(MISMATCH, math.inf, says)
    off = shares(answer, reference, allowed)
    error = float(off.max(initial=0))
    if error <= 1:
        if reference.size and not np.isfinite(allowed).any():
            return Finding(TIE, 0.0, "nothing can be promised here")
        return Finding(MATCH, error)
    worst = np.unravel_index(off.argmax(), off.shape)
    most = np.broadcast_to(allowed, off.shape)[worst]
    at = [int(i) for i in worst]
    says = f"at {at} it gave {answer[worst]:.9g}; it is {reference[worst]:.9g} ± {most:.2g}"
    return Finding(MISMATCH, error, says)


def _distance(op: Op, dtype: str, example: OpExample, one: Any, other: Any) -> float:
    return distance_within(limits(op, dtype, example)[1], one, other)


def distance_within(allowed: Any, one: Any, other: Any) -> float:
    """How far two answers are apart, as a part of what is allowed."""
    if isinstance(one, Misbehaviour) or isinstance(other, Misbehaviour):
        return apart(one, other)
    if np.shape(one) != np.shape(other):
        return math.inf
    return excess(one, other, allowed)


def _check(name: str, op: Op) -> Check:
    def answer(subject: Subject, example: OpExample) -> Any:
        return subject.ops[name](*example.arrays.values(), **example.options)

    return Check(
        f"ops/{name}",
        op.signature,
        f"ops.{name}",
        lambda subject: op_examples(op, subject.dtype),
        answer,
        lambda dtype, example, answer: _judge(op, dtype, example, answer),
        lambda dtype, example, one, other: _distance(op, dtype, example, one, other),
        200,
    )


CHECKS = tuple(_check(name, op) for name, op in OPS.items())
