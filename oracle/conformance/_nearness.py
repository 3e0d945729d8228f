"""How near a subject's answer is to a mutant's: as a part of what rounding may do to the mutant.

What rounding may do is measured on the very example, and on the mutant: a bug that cancels, such as
a variance E[x²] − E[x]², is moved much further than the truth. The mutant is run in float64, in the
claimed dtype, and in float64 on inputs that are off by one rounding; cached steps are run as cached
steps. It is no less than what rounding may do to the truth there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oracle.adapters import pytorch
from oracle.adapters.guard import Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds._noise import FACTOR
from oracle.bounds._rounding import Array, format_of
from oracle.conformance._check import Check
from oracle.conformance._checks import ops
from oracle.conformance._checks.cache import CacheExample
from oracle.conformance._checks.perplexity import TextScore, not_a_perplexity
from oracle.conformance._model_examples import ModelExample, not_logits
from oracle.conformance._outcome import ask
from oracle.mutants._mutant import Mutant

RUNS = 3
# A distance beyond which more says no more.
FARTHEST = 1e4
# Where the run in the claimed dtype, which is nearly free, leaves more than this, so would others.
HOPELESS = 100.0
# Answers of mutants that are kept: so many, of at most so many numbers each.
KEPT, KEPT_SIZE = 200_000, 4_000


@dataclass(frozen=True)
class Nearness:
    """A subject's answer beside a mutant's.

    distance: the largest difference, as a part of what rounding may do to the mutant; 0 or infinite
    where answers are no numbers. silent: the mutant has no answer to compare with: it refuses, or
    is not finite, where the truth is. width: how many times more rounding may do to it than to the
    truth, at least 1.
    """

    distance: float
    silent: bool = False
    width: float = 1.0


@dataclass(frozen=True)
class Numeric:
    """How the answers to an example are read as numbers, and compared.

    read: the numbers, or None where there are none. allowed: what rounding may do to the truth.
    rows: the axes over which what rounding does is common.
    """

    read: Callable[[Any], Array | None]
    allowed: Array
    rows: tuple[int, ...]


def nearness(mutant: Mutant, check: Check, dtype: str, example: Any, answer: Any) -> Nearness:
    """How near the answer is to the mutant's. Draws and texts are the same or not."""
    wide = heard(mutant, check, example, "float64")
    numeric = numeric_of(check, dtype, example)
    if numeric is None or isinstance(answer, Misbehaviour):
        return _discrete(mutant, check, dtype, example, answer, wide)
    subjects, exact = numeric.read(answer), numeric.read(wide)
    if exact is None:
        return Nearness(math.inf, silent=True)
    if subjects is None:
        return Nearness(math.inf)
    narrow = exact
    if dtype != "float64":
        found = numeric.read(heard(mutant, check, example, dtype))
        narrow = exact if found is None else found
    allowed = np.broadcast_to(numeric.allowed, exact.shape)
    if not np.isfinite(exact[np.isfinite(allowed)]).all():
        # A bug that overflows does so in the arithmetic that is really used.
        same = any(_alike(subjects, numbers, allowed) for numbers in (exact, narrow))
        # A finite answer is no such overflow: that speaks against it, but as any example does.
        finite = np.isfinite(subjects).all()
        return Nearness(0.0 if same else math.inf, silent=not same and not finite)
    if np.isfinite(exact).all() and not np.isfinite(narrow).all():
        if _alike(subjects, narrow, allowed):
            return Nearness(0.0)
        narrow = exact
    least = np.maximum(allowed, FACTOR * _unit(dtype) * np.abs(exact))
    noise = np.maximum(least, FACTOR * _moved(narrow, exact, numeric.rows))
    near = _excess(subjects, exact, noise)
    if 1 < near <= HOPELESS:
        for seed in range(RUNS):
            shaken = numeric.read(heard(mutant, check, example, f"{dtype} shaken {seed}"))
            if shaken is not None:
                noise = np.maximum(noise, FACTOR * _moved(shaken, exact, numeric.rows))
        near = _excess(subjects, exact, noise)
    return Nearness(min(near, FARTHEST), width=_width(noise, allowed))


def heard(mutant: Mutant, check: Check, example: Any, kind: str) -> Any:
    """What the oracle with the bug in it answers, each worked out once for the very same example.

    kind: a dtype, or as in "float32 shaken 2": float64, with inputs off by a rounding of float32.
    """
    key = mutant.id, check.name, id(example), kind
    if key not in _HEARD:
        dtype, _, seed = kind.partition(" shaken ")
        subject = shaken(int(seed), _unit(dtype)) if seed else pytorch.subject(dtype=dtype)
        with mutant.applied():
            answer = ask(check, subject, example)
        size = answer.size if isinstance(answer, np.ndarray) else 100
        if size > KEPT_SIZE:
            return answer
        if len(_HEARD) >= KEPT:
            _HEARD.clear()
        _HEARD[key] = example, answer  # with the example, so that no other gets its id
    return _HEARD[key][1]


_HEARD: dict[tuple[Any, ...], tuple[Any, Any]] = {}


def shaken(seed: int, unit: float) -> Subject:
    """The oracle in float64 on weights, or arrays, each number of which is off by one unit."""
    subject = pytorch.subject(dtype="float64")

    def off(arrays: Mapping[str, Any]) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        return {
            name: array * (1 + unit * rng.choice((-1.0, 1.0), array.shape))
            if isinstance(array, np.ndarray) and array.dtype.kind == "f"
            else array
            for name, array in arrays.items()
        }

    def of_weights(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda config, weights, *more: function(config, off(weights), *more)

    def of_arrays(op: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arrays: Any, **options: Any) -> Any:
            return op(*off({str(i): array for i, array in enumerate(arrays)}).values(), **options)

        return run

    with_weights = {
        name: of_weights(function)
        for name in ("logits", "step", "perplexity")
        if (function := subject.function(name)) is not None
    }
    return replace(
        subject, ops={name: of_arrays(op) for name, op in subject.ops.items()}, **with_weights
    )


def numeric_of(check: Check, dtype: str, example: Any) -> Numeric | None:
    """How answers to the example are numbers; None where they are the same or not, or are scores.

    What rounding may do to the truth is asked of the oracle as it is: not under a mutant.
    """
    if isinstance(example, ModelExample) and check.needs == "logits":
        return _of_logits(example, dtype)
    if isinstance(example, CacheExample):
        return _of_logits(example.whole, dtype)
    if isinstance(example, TextScore):
        return Numeric(_log_perplexity, np.array([example.reference(dtype).allowed]), (0,))
    if isinstance(example, ops.OpExample):
        op = ops.OPS[check.needs.removeprefix("ops.")]
        reference, allowed = ops.limits(op, dtype, example)
        wide = np.broadcast_to(np.asarray(allowed, float), reference.shape)
        return Numeric(lambda answer: _array(answer, reference.shape), wide, (-1,))
    return None


def _of_logits(example: ModelExample, dtype: str) -> Numeric:
    _, allowed = example.reference(dtype)

    def read(answer: Any) -> Array | None:
        if not_logits(example, answer):
            return None
        return np.where(example.batch.mask[:, :, None], answer.astype(np.float64), 0)

    return Numeric(read, allowed, (1, 2))


def _array(answer: Any, shape: tuple[int, ...]) -> Array | None:
    fits = isinstance(answer, np.ndarray) and answer.dtype.kind in "fiu" and answer.shape == shape
    return answer.astype(np.float64) if fits else None


def _log_perplexity(answer: Any) -> Array | None:
    return None if not_a_perplexity(answer) else np.array([math.log(float(answer))])


def _discrete(
    mutant: Mutant, check: Check, dtype: str, example: Any, answer: Any, wide: Any
) -> Nearness:
    silent = isinstance(wide, Misbehaviour) != isinstance(answer, Misbehaviour)
    with mutant.applied():
        try:
            apart = check.distance(dtype, example, answer, wide)
        except Exception:  # the bug makes the reference fail where the subject does not
            apart = math.inf
    return Nearness(min(apart, FARTHEST), silent=silent and apart > 1)


def _alike(one: Array, other: Array, allowed: Array) -> bool:
    """Whether they are not finite at the same places, and alike elsewhere but for a thousandth."""
    if not (np.isfinite(one) == np.isfinite(other)).all():
        return False
    both = np.isfinite(one)
    near = np.maximum(allowed, 1e-3 * np.abs(np.where(both, other, 0)))
    return _excess(np.where(both, one, 0), np.where(both, other, 0), near) <= 1


def _excess(one: Array, other: Array, noise: Array) -> float:
    with np.errstate(all="ignore"):
        ratio = np.where(one == other, 0, np.abs(one - other) / noise)
    return float(np.nan_to_num(ratio, nan=math.inf).max(initial=0))


def _moved(run: Array, exact: Array, rows: tuple[int, ...]) -> Array:
    with np.errstate(invalid="ignore"):
        off = np.abs(run - exact)
    off = np.where(np.isfinite(off), off, 0)
    return np.broadcast_to(off.max(axis=rows, keepdims=True, initial=0), exact.shape)


def _width(noise: Array, allowed: Array) -> float:
    with np.errstate(all="ignore"):
        ratio = noise / allowed
    finite = ratio[np.isfinite(ratio)]
    return max(1.0, float(np.median(finite))) if finite.size else 1.0


def _unit(dtype: str) -> float:
    return max(format_of(dtype).unit, 2 * format_of("float64").unit)
