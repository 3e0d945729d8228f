"""Arrays of floats that are hard on numerical code.

Hypothesis draws only a shape, the name of a kind and a seed; NumPy fills the array. A large array
costs no more to draw than a small one, and a failing example shrinks to a small shape, an early
kind and a small seed.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Kind: TypeAlias = Callable[[np.random.Generator, Shape, np.finfo], Array]

MAX_SEED = 2**32 - 1


def _rows(rng: np.random.Generator, shape: Shape) -> Array:
    """One normal number a row (a row is a line along the last axis), ready to broadcast."""
    return rng.standard_normal((*shape[:-1], 1) if shape else ())


def _integers(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return rng.integers(-3, 4, shape)


def _ordinary(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return rng.standard_normal(shape)


def _constant_rows(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return np.broadcast_to(_rows(rng, shape), shape)


def _offset(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return 1000 * _rows(rng, shape) + rng.standard_normal(shape)


def _ties(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return rng.choice(rng.standard_normal(3), shape)


def _near_ties(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    steps = rng.integers(0, 4, shape)
    return _rows(rng, shape) * (1 + steps * float(finfo.eps))


def _heavy_tailed(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return np.clip(rng.standard_cauchy(shape), -1e4, 1e4)


def _wide(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    exponents = rng.uniform(int(finfo.minexp) // 4, int(finfo.maxexp) // 4, shape)
    return rng.choice([-1.0, 1.0], shape) * np.exp2(exponents)


def _tiny(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return rng.standard_normal(shape) * 2.0 ** (int(finfo.minexp) // 2)


def _subnormal(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return rng.integers(-1000, 1001, shape) * float(finfo.smallest_subnormal)


def _huge(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return rng.standard_normal(shape) * 2.0 ** (int(finfo.maxexp) // 4)


def _near_overflow(rng: np.random.Generator, shape: Shape, finfo: np.finfo) -> Array:
    return rng.uniform(-1, 1, shape) * float(finfo.max)


# Simplest first: a failing example shrinks towards the first kind that still fails.
KINDS: dict[str, Kind] = {
    "integers": _integers,  # -3 to 3: exact sums, many ties
    "ordinary": _ordinary,  # standard normal
    "constant_rows": _constant_rows,  # no variance at all
    "ties": _ties,  # three distinct values in the whole array
    "offset": _offset,  # rows whose mean is far larger than their spread
    "near_ties": _near_ties,  # rows whose values differ by a few units in the last place
    "heavy_tailed": _heavy_tailed,  # Cauchy, cut at 1e4
    "wide": _wide,  # magnitudes over half the exponent range
    "tiny": _tiny,  # squares sink to the edge of underflow
    "subnormal": _subnormal,  # every number is below the smallest normal one
    "huge": _huge,  # squares still fit, fourth powers do not
    "near_overflow": _near_overflow,  # sums of two, and all products, overflow
}
# Kinds whose sums of products stay far from overflow in float32.
FINITE_KINDS = tuple(kind for kind in KINDS if kind != "near_overflow")


def build_array(kind: str, seed: int, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """The array of `kind` (a key of `KINDS`) that `seed` makes: the same on every run.

    >>> build_array("constant_rows", 0, (2, 3), np.float64).round(3).tolist()
    [[0.126, 0.126, 0.126], [-0.132, -0.132, -0.132]]
    """
    rng = np.random.default_rng(seed)
    limits: np.finfo[Any] = np.finfo(dtype)  # of any floating dtype
    # A copy, because a broadcast view would be read-only and alias itself.
    return np.array(KINDS[kind](rng, shape, limits), dtype)


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape],
    *,
    dtype: npt.DTypeLike = np.float32,
    kinds: Sequence[str] = FINITE_KINDS,
) -> Array:
    """Finite arrays of `shape` (a tuple, or a strategy of tuples) and `dtype`, of any of `kinds`.

    `hypothesis.extra.numpy.array_shapes` and `broadcastable_shapes` make strategies of shapes.
    """
    chosen = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    return build_array(draw(st.sampled_from(kinds)), draw(st.integers(0, MAX_SEED)), chosen, dtype)


LAYOUTS = ("contiguous", "transposed", "strided", "reversed")


def laid_out(array: Array, layout: str) -> Array:
    """The same numbers, read-only, in another order in memory (a name in `LAYOUTS`).

    Code that relies on C order, or that writes to an argument, then fails at once.

    >>> laid_out(np.arange(3), "strided").strides == (2 * np.arange(3).itemsize,)
    True
    """
    if layout == "transposed":
        array = np.asfortranarray(array)
    elif layout == "strided":
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    elif layout == "reversed":
        array = np.flip(np.flip(array).copy())
    else:
        array = np.ascontiguousarray(array)
    array = array.view()
    array.flags.writeable = False
    return array


@st.composite
def logits(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape],
    *,
    dtype: npt.DTypeLike = np.float32,
    kinds: Sequence[str] = tuple(KINDS),
    infinity: float = -np.inf,
) -> Array:
    """Arrays as `arrays` makes them, in which some entries, whole rows or none are `infinity`."""
    scores = draw(arrays(shape, dtype=dtype, kinds=kinds))
    share = draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, MAX_SEED)))
    scores[rng.random(scores.shape) < share] = infinity
    return scores
