"""check_op: one function of NumPy arrays, held to what rounding may do, for a test of one's own."""

import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from oracle.adapters.guard import guarded
from oracle.adapters.subject import Subject
from oracle.bounds._rounding import FORMATS, Array
from oracle.conformance._catalogue import checks_at
from oracle.conformance._check import MISMATCH, REFUSED, TIE
from oracle.conformance._checks.ops import SIGNATURES, OpExample
from oracle.conformance._diagnosis import diagnoses
from oracle.conformance._explore import fresh_seed
from oracle.conformance._outcome import RIGHT, Outcome, run
from oracle.conformance._several import wrong_case
from oracle.conformance._sizes import DEFAULT
from oracle.mutants._catalogue import MUTANTS

NAMES_SHOWN = 2  # of the known bugs that a kernel's numbers look like
LARGEST_SHOWN = 40  # numbers; of a larger array the message gives the shape


@dataclass(frozen=True)
class OpResult:
    """What `check_op` found of a function that is right.

    seed: of the examples. examples: how many were tried; ties of them, where rounding alone
    decides. error: the largest error, as a part of what rounding allows: at most 1.
    """

    op: str
    dtype: str
    seed: int
    examples: int
    ties: int
    error: float


class WrongOp(AssertionError):  # noqa: N818
    """A function is not the op that `check_op` held it to.

    arguments: those of the smallest example that shows it, by name; empty where it is undecided.
    """

    __module__ = "oracle"  # as its readers call it

    def __init__(self, says: str, arguments: Mapping[str, Any]) -> None:
        super().__init__(says)
        self.arguments = arguments


def check_op(
    op: str,
    function: Callable[..., Any],
    *,
    dtype: npt.DTypeLike = "float32",
    sizes: str = DEFAULT,
    seed: int | None = 0,
    examples: int | None = None,
) -> OpResult:
    """Hold a function to an op of GPT-2: what it gives is off by no more than rounding may do.

    op: a name in `conformance.SIGNATURES`, which says how the function is called: NumPy arrays by
    position, whatever stands after the star by keyword. The arrays are of `dtype`: what the
    function computes in, of `bounds.FORMATS`. NumPy has no bfloat16: for it they are float32, every
    number of which bfloat16 holds. masks are bool, True where a query may look, and ids int64. It
    returns an array of the op's shape; PyTorch's and JAX's are read too, of any dtype. What counts
    is what it returns: NumPy's warnings of overflow and the like are off.
    sizes: up to which of `conformance.SIZES` the arrays are: "toy", "borders" or "gpt2".
    seed: says which; the same each time by default, None for fresh ones. examples: how many are
    tried of each size, by default what each check tries.

    Returns how many were tried, and how near it came. Raises WrongOp, an AssertionError, where an
    answer is wrong, the function raises, or writes to its arguments: its message gives the smallest
    example, the index of the worst number, both values and what rounding allows, and known bugs
    with the same numbers. It raises so too where more than 1 % of the examples cannot be decided.
    Raises ValueError for an op, a dtype or a size that does not exist, and TypeError for a function that
    cannot be called as the op is.

    >>> check_op("relu", lambda x: np.maximum(x, 0), dtype="float16", examples=20)
    OpResult(op='relu', dtype='float16', seed=0, examples=22, ties=0, error=0.0)
    >>> check_op("relu", abs, examples=20)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    oracle.WrongOp: relu(x) in float32 is wrong for ... of 20 examples of seed 0. The smallest:
        x = array([[...]], dtype=float32)
    at [0, ...] it gave ...; it is 0 ± 0
    """  # noqa: E501
    kind = _format(dtype)
    wanted = signature(op)
    _callable_as(function, op, wanted)
    watched = guarded(Subject(_name(function), kind, ops={op: function}))
    subject = replace(watched, ops={op: _of_narrow(watched.ops[op], kind)})
    checks = [check for check in checks_at(sizes) if check.needs == f"ops.{op}"]
    seed = fresh_seed() if seed is None else seed
    outcomes = [run(check, subject, count=examples, seed=seed) for check in checks]
    if wrong := [outcome for outcome in outcomes if outcome.verdict != RIGHT]:
        raise _wrong(f"{wanted} in {kind}", kind, wrong, seed)
    return OpResult(
        op,
        kind,
        seed,
        sum(len(outcome.seen) for outcome in outcomes),
        sum(outcome.counts[TIE] + outcome.counts[REFUSED] for outcome in outcomes),
        max(outcome.error for outcome in outcomes),
    )


def signature(op: str) -> str:
    """How an op is called. Raises ValueError for one that there is none of, with the nearest.

    >>> signature("layer_norm")
    'layer_norm(x, weight, bias, *, eps)'
    >>> signature("layernorm")
    Traceback (most recent call last):
    ...
    ValueError: there is no op 'layernorm', but there is layer_norm(x, weight, bias, *, eps); the ops are embedding, linear, layer_norm, gelu_new, gelu, relu, silu, softmax, log_softmax, attention
    """  # noqa: E501
    if op in SIGNATURES:
        return SIGNATURES[op]
    near = difflib.get_close_matches(str(op), SIGNATURES, 1)
    hint = f", but there is {SIGNATURES[near[0]]}" if near else ""
    raise ValueError(f"there is no op {op!r}{hint}; the ops are {', '.join(SIGNATURES)}")


def _format(dtype: npt.DTypeLike) -> str:
    name = str(getattr(dtype, "__name__", dtype)).removeprefix("torch.")
    if name not in FORMATS:
        raise ValueError(f"dtype is {dtype!r}; expected one of {', '.join(FORMATS)}")
    return name


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _callable_as(function: Callable[..., Any], op: str, wanted: str) -> None:
    """Raise TypeError where a function of Python cannot be called as the op is."""
    if not callable(function):
        raise TypeError(f"{function!r} is no function; {op} is called as {wanted}")
    parameters = wanted[wanted.index("(") + 1 : -1].split(", ")
    star = parameters.index("*") if "*" in parameters else len(parameters)
    positional, keywords = parameters[:star], parameters[star + 1 :]
    try:
        has = inspect.signature(function)
    except (TypeError, ValueError):  # one of C tells nothing of itself: the first call will
        return
    try:
        has.bind(*positional, **dict.fromkeys(keywords))
    except TypeError as error:
        raise TypeError(
            f"{_name(function)}{has} cannot be called as {wanted}: {error}; wrap it in a function "
            "that can"
        ) from None


def _of_narrow(function: Callable[..., Any], dtype: str) -> Callable[..., Any]:
    """The function, of arrays in the dtype where NumPy has it: the checks give wider ones."""

    def call(*arrays: Any, **options: Any) -> Any:
        narrow = _narrow(dict(enumerate(arrays)), dtype)
        with np.errstate(all="ignore"):
            return function(*narrow.values(), **options)

    return call


def _narrow(arrays: Mapping[Any, Array], dtype: str) -> dict[Any, Array]:
    """The arrays in the dtype, which holds each number of them."""
    kind = np.dtype("float32" if dtype == "bfloat16" else dtype)
    return {n: a.astype(kind) if a.dtype.kind == "f" else a for n, a in arrays.items()}


def _wrong(what: str, dtype: str, wrong: list[Outcome], seed: int) -> WrongOp:
    """What is wrong, by the smallest of the examples that show it."""
    shown = min(wrong, key=_size)
    counts, total = shown.counts, len(shown.seen)
    if shown.worst is None:
        open_ = counts[TIE] + counts[REFUSED]
        says = f"{what} is undecided for {open_} of {total} examples of seed {seed}"
        return WrongOp(f"{says}: {shown.says}", {})
    example = _example(shown)
    arguments = _narrow(example.arrays, dtype) | example.options
    lines = [
        f"{what} is wrong for {counts[MISMATCH]} of {total} examples of seed {seed}. The smallest:",
        *(_line(name, value) for name, value in arguments.items()),
        shown.says,
    ]
    named = [s for family in diagnoses(wrong, dtype, MUTANTS) for s in family.named]
    for suspect in named[:NAMES_SHOWN]:
        source = f" ({suspect.mutant.source})" if suspect.mutant.source else ""
        like = "it behaves like" if suspect.reproduces else "the nearest known bug is"
        lines.append(f"{like} {suspect.mutant.id}: {suspect.mutant.bug}{source}")
    return WrongOp("\n".join(lines), arguments)


def _size(outcome: Outcome) -> float:
    """How many numbers its smallest failing example has."""
    if outcome.worst is None:
        return math.inf
    return sum(array.size for array in _example(outcome).arrays.values())


def _example(outcome: Outcome) -> OpExample:
    """The smallest that fails; of a check that asks many sizes at once, the size that is wrong."""
    worst = outcome.worst
    assert worst is not None
    example: OpExample = wrong_case(worst.example, worst.answer, worst.finding.says)[0]
    return example


def _line(name: str, value: Any) -> str:
    """An argument as it would be written, indented; of a large array what it is.

    >>> _line("x", np.ones((1, 2), np.float16)), _line("mask", np.ones((4, 99), bool))
    ('    x = array([[1., 1.]], dtype=float16)', '    mask: bool of shape (4, 99)')
    """
    if isinstance(value, np.ndarray) and value.size > LARGEST_SHOWN:
        return f"    {name}: {value.dtype} of shape {value.shape}"
    first, *rest = f"{name} = {value!r}".splitlines()
    return "\n".join([f"    {first}", *(f"    {line.strip()}" for line in rest)])
