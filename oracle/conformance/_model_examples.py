"""Whole models to put before a subject, and how its logits are judged."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from oracle import model
from oracle.adapters.claims import EVERYTHING, RELEASED_FLAGS, Claims
from oracle.adapters.guard import RAISED, Misbehaviour, apart
from oracle.adapters.subject import Subject
from oracle.bounds._compare import excess
from oracle.bounds._noise import FACTOR, RUNS, noise_floor
from oracle.bounds._rounding import Array, format_of
from oracle.conformance._check import MATCH, MISMATCH, REFUSED, TIE, Finding
from oracle.strategies._configs import Config, configs
from oracle.strategies._tokens import Batch, batches
from oracle.strategies._weights import Weights, weights

PLAIN = ("ordinary", "trained")
MOST_GAPS = 3
# Of each number of an answer; NumPy has no bfloat16, so that comes as float32.
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
# The switches as all four released models have them.
RELEASED: dict[str, Any] = {
    **RELEASED_FLAGS,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True, eq=False)
class ModelExample:
    """A model and a batch for it. weights: float32, exact in the dtype they are meant for."""

    config: Config
    weights: Weights
    batch: Batch

    @functools.cached_property
    def _references(self) -> dict[str, tuple[Array, Array]]:
        return {}

    def reference(self, dtype: str) -> tuple[Array, Array]:
        """Logits in float64 and what rounding in dtype may move them: `noise.noise_floor`."""
        if dtype not in self._references:
            batch = self.batch
            self._references[dtype] = noise_floor(
                self.weights, self.config, batch.tokens, batch.mask, dtype=dtype
            )
        return self._references[dtype]

    def ask(self, subject: Subject) -> Array:
        """The subject's logits."""
        mask = self.batch.mask if subject.claims.mask else None
        assert subject.logits is not None  # what asks this needs it
        return subject.logits(self.config, self.weights, self.batch.tokens, mask)


@st.composite
def model_examples(
    draw: st.DrawFn,
    dtype: str,
    *,
    kinds: Sequence[str] = PLAIN,
    paddings: Sequence[str] = ("none",),
    layers: Sequence[int] = range(4),
    positions: Sequence[int] = range(1, 11),
    max_rows: int = 2,
    claims: Claims = EVERYTHING,
    **fields: Any,
) -> ModelExample:
    """Examples whose weights are exact in dtype; `fields` are those of `configs`.

    They are moved within the claims, by `Claims.nearest`; `claimed_examples` sees to the paddings.
    With its padding, a batch is at most n_positions wide: many implementations end there.
    """
    sizes = {"n_layer": layers, "n_positions": positions}
    drawn_sizes = {name: draw(st.sampled_from(some)) for name, some in sizes.items()}
    wanted = draw(configs(**drawn_sizes, **fields))
    config = claims.nearest(wanted)
    drawn = draw(weights(config, kinds=kinds))
    if dtype not in ("float32", "float64"):
        drawn = exact_in(dtype, drawn)
    # A context that is fixed may be far longer than a toy's row.
    columns = min(wanted["n_positions"], config["n_positions"])
    gaps = 0 if tuple(paddings) == ("none",) else min(MOST_GAPS, columns - 1)
    room = config | {"n_positions": columns - gaps}
    batch = draw(batches(room, max_rows=claims.rows(max_rows), max_padding=gaps, paddings=paddings))
    return ModelExample(config, drawn, batch)


def claimed_examples(
    subject: Subject, *, paddings: Sequence[str] = ("none",), **drawn: Any
) -> "st.SearchStrategy[ModelExample] | None":
    """`model_examples` within the subject's claims; None where it claims none of the paddings."""
    claimed = subject.claims.paddings(paddings)
    if not claimed:
        return None
    return model_examples(subject.dtype, paddings=claimed, claims=subject.claims, **drawn)


def exact_in(dtype: str, drawn: Weights) -> Weights:
    """The weights, each number rounded to dtype."""
    arrays = {name: in_dtype(dtype, array) for name, array in drawn.items()}
    return Weights(arrays, f"exact_in({dtype!r}, {drawn.recipe})")


def in_dtype(dtype: str, array: Array) -> Array:
    """The numbers rounded to dtype, kept as they are stored; what overflows becomes the largest.

    >>> in_dtype("bfloat16", np.array([1.001, 1e39])).tolist()
    [1.0, 3.3895313892515355e+38]
    """
    kind = getattr(torch, dtype)
    tensor = torch.from_numpy(array.copy())
    largest = min(torch.finfo(kind).max, torch.finfo(tensor.dtype).max)
    finite = torch.where(tensor.isinf(), tensor, tensor.clamp(-largest, largest))
    return finite.to(kind).to(tensor.dtype).numpy()


def judge_logits(dtype: str, example: ModelExample, answer: Any) -> Finding:
    """The logits at real tokens are within the noise floor of the float64 reference."""
    if wrong := not_logits(example, answer):
        return Finding(MISMATCH, math.inf, wrong)
    reference, allowed = example.reference(dtype)
    real = example.batch.mask
    if not np.isfinite(allowed).all():
        return Finding(TIE, 0.0, f"honest rounding overflows {dtype} here")
    error = excess(answer[real], reference[real], np.broadcast_to(allowed, reference.shape)[real])
    if error <= 1:
        return Finding(MATCH, error)
    says = _where_worst(answer, reference, allowed, real)
    if answer.dtype.kind == "f" and answer.dtype.itemsize < BYTES[dtype]:
        says += (
            f"; it answers in {answer.dtype} but claims {dtype}: let it claim what it computes in"
        )
    return Finding(MISMATCH, error, says)


def judge_flags(dtype: str, example: ModelExample, answer: Any) -> Finding:
    """As `judge_logits`; but to refuse a switch that is not the released models' is honest."""
    return refused_flag(answer, example) or judge_logits(dtype, example, answer)


def refused_flag(answer: Any, *examples: ModelExample) -> Finding | None:
    """REFUSED where a subject refuses examples, one of which has a switch that is not released."""
    refused = isinstance(answer, Misbehaviour) and answer.kind == RAISED
    if refused and any(
        example.config[name] != value for example in examples for name, value in RELEASED.items()
    ):
        return Finding(REFUSED, 0.0, f"it was refused: {answer.says}")
    return None


def not_logits(example: ModelExample, answer: Any) -> str:
    """Why the answer cannot be logits of the example, or nothing."""
    if isinstance(answer, Misbehaviour):
        return answer.says
    batch, config = example.batch, example.config
    wanted = (*batch.tokens.shape, config["vocab_size"])
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "fiu":
        return f"logits gave {type(answer).__name__} {getattr(answer, 'dtype', '')}".rstrip()
    if answer.shape != wanted:
        return f"logits gave shape {answer.shape}; expected (batch, query, vocab) = {wanted}"
    return ""


def _where_worst(answer: Array, reference: Array, allowed: Array, real: Array) -> str:
    off = np.abs(answer.astype(np.float64) - reference)
    off[~real] = 0
    off = np.nan_to_num(off / allowed, nan=math.inf)
    row, place, token = np.unravel_index(off.argmax(), off.shape)
    return (
        f"the logit of token {token} at position {place} of row {row} is "
        f"{answer[row, place, token]:.9g}; it is {reference[row, place, token]:.9g}, "
        f"and rounding may move it by {allowed[row, 0, 0]:.2g}"
    )


def distance_of_logits(dtype: str, example: ModelExample, one: Any, other: Any) -> float:
    """How far two answers are apart, as a part of what rounding may do to the second.

    That is measured on the oracle as it stands, perhaps with a bug in it: run in dtype, and in
    float64 with weights that are off by one rounding.
    """
    if isinstance(one, Misbehaviour) or isinstance(other, Misbehaviour):
        return apart(one, other)
    if not_logits(example, one) or one.shape != other.shape:
        return math.inf
    real = example.batch.mask
    finite = other[real][np.isfinite(other[real])]
    least = _unit(dtype) * float(np.abs(finite).max(initial=0))
    # The floor is no lower than that, so what is near enough by it needs no run.
    if least > 0 and (near := excess(one[real], other[real], FACTOR * least)) <= 1:
        return near
    return excess(one[real], other[real], FACTOR * max(least, _moved(dtype, example, other)))


def _unit(dtype: str) -> float:
    return max(format_of(dtype).unit, 2 * format_of("float64").unit)


def _moved(dtype: str, example: ModelExample, values: Array) -> float:
    """How far rounding moves the oracle as it now is, on the padded batch, without taps."""
    unit, real, moved = _unit(dtype), example.batch.mask, []
    runs = [_live_run(example, example.weights, dtype)]
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        shaken = {
            name: array * (1 + unit * rng.choice((-1.0, 1.0), array.shape))
            for name, array in example.weights.items()
        }
        runs.append(_live_run(example, shaken, "float64"))
    for run in runs:
        with np.errstate(invalid="ignore"):
            off = np.abs(run - values)[real]
        moved.append(off[np.isfinite(off)].max(initial=0))
    return float(max(moved))


def _live_run(example: ModelExample, arrays: dict[str, Array], dtype: str) -> Array:
    tensors = {n: torch.tensor(a).to(getattr(torch, dtype)) for n, a in arrays.items()}
    tokens, mask = (torch.tensor(a) for a in (example.batch.tokens, example.batch.mask))
    with torch.no_grad():
        found = model.logits(tensors, example.config, tokens, mask=mask)
    return found.double().numpy()
