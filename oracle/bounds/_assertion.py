"""Assertion for tests of one's own: an answer is within what rounding may do to it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from oracle.bounds._compare import shares
from oracle.bounds._rounding import Array


def assert_within_rounding(
    actual: npt.ArrayLike, reference: npt.ArrayLike, bound: npt.ArrayLike
) -> float:
    """Raise AssertionError where an answer differs from its reference by more than a bound.

    actual: what was computed. reference: what it should be, of the same shape, best in float64.
    bound: the largest |actual − reference| allowed, of a shape that broadcasts to theirs, such as
    `bounds.softmax` gives; infinite where nothing can be promised. Equal infinities agree, and so
    do NaN and NaN. Tensors of PyTorch and arrays of JAX are read too.

    Returns the largest error, as a part of what is allowed there: at most 1. Raises AssertionError
    whose message names the index of the worst number, both values and what rounding allows, and so
    for another shape and for what holds no numbers. Raises ValueError where reference or bound
    themselves cannot be right: not numbers, a bound that is negative or NaN or of another shape.

    >>> from oracle import bounds
    >>> x = np.array([[0.0, 1.0, 2.0]])
    >>> exact = np.exp(x) / np.exp(x).sum()
    >>> allowed = bounds.softmax(x, dtype="float32")
    >>> assert_within_rounding(exact.astype(np.float32), exact, allowed) < 1
    True
    >>> assert_within_rounding(exact + [[0, 0, 1e-4]], exact, allowed)
    Traceback (most recent call last):
    ...
    AssertionError: at [0, 2] it is 0.665340956; expected 0.665240956, which rounding may move by 8.1e-07: off by 123 times that; 1 of 3 numbers is off by more than rounding allows
    """  # noqa: E501
    wanted = _numbers("the reference", reference, ValueError)
    allowed = _allowed(bound, wanted.shape)
    answer = _numbers("the answer", actual, AssertionError)
    if answer.shape != wanted.shape:
        raise AssertionError(f"the answer has shape {answer.shape}; expected {wanted.shape}")
    off = shares(answer, wanted, allowed)
    error = float(off.max(initial=0))
    if error > 1:
        raise AssertionError(_worst(answer, wanted, allowed, off))
    return error


def _numbers(what: str, values: Any, kind: type[Exception]) -> Array:
    """The values in NumPy; `kind` is raised where they are no numbers, or complex ones."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of several lengths
        raise kind(f"{what} is {type(values).__name__}, not an array: {error}") from error
    if array.dtype.name == "bfloat16":  # of ml_dtypes, in which JAX answers
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiu":
        raise kind(
            f"{what} is {type(values).__name__} of dtype {array.dtype}; expected an array of "
            "real numbers"
        )
    return array


def _allowed(bound: Any, shape: tuple[int, ...]) -> Array:
    allowed = _numbers("the bound", bound, ValueError).astype(np.float64)
    wrong = allowed[~(allowed >= 0)]
    if wrong.size:
        raise ValueError(f"the bound holds {wrong.flat[0]:g}; what rounding allows is 0 or more")
    try:
        return np.broadcast_to(allowed, shape)
    except ValueError:
        raise ValueError(
            f"the bound has shape {allowed.shape}, which does not broadcast to the {shape} of "
            "the reference"
        ) from None


def _worst(answer: Array, reference: Array, allowed: Array, off: Array) -> str:
    """In one line: the worst number, and how many are off."""
    count, place = int((off > 1).sum()), np.unravel_index(off.argmax(), off.shape)
    at = f"at {[int(i) for i in place]} " if off.ndim else ""
    times = f": off by {off[place]:.3g} times that" if np.isfinite(off[place]) else ""
    return (
        f"{at}it is {answer[place]:.9g}; expected {reference[place]:.9g}, which rounding may move "
        f"by {allowed[place]:.2g}{times}; {count} of {off.size} number{'s' * (off.size != 1)} "
        f"{'is' if count == 1 else 'are'} off by more than rounding allows"
    )
