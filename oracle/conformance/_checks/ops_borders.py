"""Checks of single ops at the sizes of real models, and at the borders of tiles.

Each example holds a case for each size of the op's list, in which one dimension is large and the
others are small. Left out is a case for which the bound promises nothing in the claimed dtype, such
as a sum of 768 products in bfloat16: γ is infinite from 256 on.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array
from oracle.conformance._check import Check, Finding
from oracle.conformance._checks.ops import (
    OPS,
    Op,
    OpExample,
    compared,
    distance_within,
    exact,
    floats,
    limits,
)
from oracle.conformance._remembered import remembered
from oracle.conformance._several import border_check
from oracle.strategies._arrays import build_array
from oracle.strategies._borders import borders

# A row of equal numbers, which toys have too, hides from a layer norm and a softmax what they lose.
KINDS = ("ordinary", "integers")
VOCABULARIES = (256, 257, 4096, 50257, 50304)
# In and out of GPT-2 small's and XL's MLP.
MLPS = ((768, 3072), (1600, 6400))
HEAD_DIMS = (63, 64, 65, 80, 96, 127, 128, 129)
EPSILON = 1e-5  # that of the released models

Case: TypeAlias = tuple[str, dict[str, Array], dict[str, Any]]


class _Draw:
    """Arrays of one example: of any kind, but of the same one throughout a case."""

    def __init__(self, seed: int, dtype: str) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype

    def __call__(self, *shape: int, kind: str = "") -> Array:
        chosen = kind or KINDS[self.rng.choice(len(KINDS), p=(0.8, 0.2))]
        made = build_array(chosen, int(self.rng.integers(2**32)), shape, floats(self.dtype))
        return exact(self.dtype, made)


@lru_cache(maxsize=4)
def _large(inner: int, outer: int, dtype: str) -> Array:
    """A matrix of a real model's size, made once for all examples."""
    made = np.random.default_rng(inner).standard_normal((inner, outer), np.float32)
    return exact(dtype, made)


def _linear(draw: _Draw) -> Iterator[Case]:
    for inner, outer in MLPS:
        arrays = {"x": draw(2, inner), "weight": _large(inner, outer, draw.dtype)}
        yield f"{inner} x {outer}", arrays | {"bias": draw(outer)}, {}
    for size in borders():
        for what, rows, inner, outer in (
            ("rows", size, 3, 2),
            ("in", 2, size, 3),
            ("out", 2, 3, size),
        ):
            arrays = {"x": draw(rows, inner), "weight": draw(inner, outer), "bias": draw(outer)}
            yield f"{what} {size}", arrays, {}


def _layer_norm(draw: _Draw) -> Iterator[Case]:
    for width in (*borders(), 768, 1600):
        yield _normalised(draw, f"width {width}", 2, width)
    for rows in borders(16, 64, 256, 1024):
        yield _normalised(draw, f"rows {rows}", rows, 3)


def _normalised(draw: _Draw, label: str, rows: int, width: int) -> Case:
    arrays = {"x": draw(rows, width), "weight": draw(width), "bias": draw(width)}
    return label, arrays, {"eps": EPSILON}


def _activation(draw: _Draw) -> Iterator[Case]:
    for length in (*borders(), 3072, 6400):
        yield f"length {length}", {"x": draw(1, length)}, {}
    for rows in borders(16, 64, 256, 1024):
        yield f"rows {rows}", {"x": draw(rows, 3)}, {}


def _softmax(draw: _Draw) -> Iterator[Case]:
    for width in (*borders(), *VOCABULARIES):
        # Some are ruled out; and one that has the most mass is the last, which tiles lose first.
        logits = draw(2, width)
        logits[0, draw.rng.random(width) < 0.3] = -np.inf
        logits[:, -1] = np.where(np.isfinite(logits), logits, 0).max(1)
        yield f"width {width}", {"logits": logits}, {"temperature": 1.0}
    for rows in borders(16, 64, 256, 1024):
        yield f"rows {rows}", {"logits": draw(rows, 3)}, {"temperature": 0.7}


def _embedding(draw: _Draw) -> Iterator[Case]:
    for rows in VOCABULARIES:
        last = [0, 127, 128, 255, 32767, 32768, rows - 2, rows - 1]
        ids = np.array([[row for row in last if row < rows]])
        yield f"{rows} rows", {"ids": ids, "weight": draw(rows, 2)}, {}
    for size in borders():
        ids = draw.rng.integers(0, 5, (1, size))
        yield f"{size} ids", {"ids": ids, "weight": draw(5, 2)}, {}
        yield f"width {size}", {"ids": ids[:, :3], "weight": draw(5, size)}, {}


def _attention(draw: _Draw) -> Iterator[Case]:
    for keys in borders():
        yield _attended(draw, f"1 query, {keys} keys", 1, 1, keys, 4)
    for queries in (*borders(16, 64, 128, 256), 1024):
        yield _attended(draw, f"{queries} queries and keys", 1, queries, queries, 4)
    yield _attended(draw, "100 queries after 33 keys", 1, 100, 133, 4)
    for head_dim in HEAD_DIMS:
        yield _attended(draw, f"head_dim {head_dim}", 2, 3, 5, head_dim)
    for heads in (12, 16, 20, 25):
        yield _attended(draw, f"{heads} heads", heads, 3, 5, 3)


def _attended(draw: _Draw, label: str, heads: int, queries: int, keys: int, width: int) -> Case:
    """Causal: the last query sees all keys."""
    lengths = {"query": queries, "key": keys, "value": keys}
    arrays = {n: draw(1, heads, length, width, kind="ordinary") for n, length in lengths.items()}
    # Scores that differ by much: where the largest comes late, sums so far have to be rescaled.
    arrays["key"] = exact(draw.dtype, arrays["key"] * draw.rng.choice([1, 3]))
    mask = np.tri(queries, keys, keys - queries, dtype=bool)[None, None]
    return label, arrays, {"mask": mask, "scale": float(width**-0.5)}


CASES: dict[str, Callable[[_Draw], Iterator[Case]]] = {
    "embedding": _embedding,
    "linear": _linear,
    "layer_norm": _layer_norm,
    "gelu_new": _activation,
    "gelu": _activation,
    "relu": _activation,
    "silu": _activation,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "attention": _attention,
}


@remembered
def _limits(op: Op, dtype: str, example: OpExample) -> tuple[Array, Any]:
    return limits(op, dtype, example)


def cases_of(name: str, dtype: str) -> Callable[[int], Sequence[tuple[str, OpExample]]]:
    """What makes the cases of a seed for this op; those for which nothing is promised are none."""
    op = OPS[name]

    def build(seed: int) -> list[tuple[str, OpExample]]:
        found = []
        for label, arrays, options in CASES[name](_Draw(seed, dtype)):
            example = OpExample(arrays, options)
            if np.isfinite(_limits(op, dtype, example)[1]).any():
                found.append((label, example))
        return found

    return build


def _check(name: str) -> Check:
    op = OPS[name]

    def answer(subject: Subject, example: OpExample) -> Any:
        return subject.ops[name](*example.arrays.values(), **example.options)

    def judge(dtype: str, example: OpExample, given: Any) -> Finding:
        return compared(given, *_limits(op, dtype, example))

    def distance(dtype: str, example: OpExample, one: Any, other: Any) -> float:
        return distance_within(_limits(op, dtype, example)[1], one, other)

    return border_check(
        f"ops/{name}-wide",
        f"{op.signature}, at the sizes of real models and at the borders of tiles",
        f"ops.{name}",
        lambda subject: cases_of(name, subject.dtype),
        (answer, judge, distance),
        count=1 if name == "linear" else 2,
    )


CHECKS = tuple(map(_check, OPS))
