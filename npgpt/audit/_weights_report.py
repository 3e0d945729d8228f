"""Weights report: norms, outlier features, duplicated rows, before anything is run."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt.audit._frozen_norm import in_float64
from npgpt.model._parameters import Parameters, to_arrays

# How many times the median norm of a tensor's features one is an outlier. Dettmers et al. 2022,
# "LLM.int8()", call activations of magnitude 6 so, where most are about 1.
OUTLIER = 6.0


@dataclass(frozen=True)
class TensorReport:
    """One tensor. norm, the root of the sum of squares, and largest, in magnitude, are of its
    finite numbers. outliers: the features (indices of the last axis) whose norm is at least
    `OUTLIER` times the median feature's."""

    name: str
    shape: tuple[int, ...]
    norm: float
    largest: float
    non_finite: int
    outliers: tuple[int, ...]


@dataclass(frozen=True)
class WeightsReport:
    """tensors, by the checkpoint's names; duplicated: groups of ids whose rows of wte are the same,
    number for number, as of tokens that training never met; untied_rows: of how many tokens the
    head's row is not wte's, None where the head is wte itself."""

    tensors: tuple[TensorReport, ...]
    duplicated: tuple[tuple[int, ...], ...]
    untied_rows: int | None


def report_weights(parameters: Parameters) -> WeightsReport:
    """Norms, outlier features, numbers that are not finite, duplicated rows, an untied head.

    >>> from npgpt._config import Config
    >>> from npgpt.model._parameters import from_arrays, shapes
    >>> tiny = Config(vocab_size=3, n_positions=3, n_embd=2, n_head=1, n_layer=0)
    >>> ones = {name: np.ones(shape) for name, shape in shapes(tiny).items()}
    >>> wte = np.array([[3.0, 0.0], [0.0, 4.0], [3.0, -0.0]])
    >>> report = report_weights(from_arrays(ones | {"wte.weight": wte}, tiny))
    >>> report.duplicated, report.untied_rows, report.tensors[0].largest
    (((0, 2),), None, 4.0)
    """
    head, wte = parameters.lm_head.weight, parameters.wte.weight
    arrays = to_arrays(parameters)
    return WeightsReport(
        tuple(_tensor(name, array) for name, array in arrays.items()),
        _duplicated(wte),
        None if head is wte else int((in_float64(head) != in_float64(wte)).any(axis=1).sum()),
    )


def _tensor(name: str, array: Array) -> TensorReport:
    wide = in_float64(array)
    finite = np.isfinite(wide)
    finite_weights = np.where(finite, wide, 0)
    with quiet():
        norms = np.sqrt(np.square(finite_weights).reshape(-1, finite_weights.shape[-1]).sum(axis=0))
        middle = np.median(norms)
        loud = (norms >= OUTLIER * middle) & (norms > 0)
    return TensorReport(
        name,
        array.shape,
        norm=float(np.sqrt(np.square(norms).sum())),
        largest=float(np.abs(finite_weights).max()),
        non_finite=int(finite.size - np.count_nonzero(finite)),
        outliers=tuple(np.flatnonzero(loud).tolist()),
    )


def _duplicated(table: Array) -> tuple[tuple[int, ...], ...]:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for token in range(len(table)):
        row = in_float64(table[token]) + 0.0  # −0 + 0 is 0: the same number
        groups[row.tobytes()].append(token)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
