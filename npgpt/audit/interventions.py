"""Interventions: taps that ablate, patch, steer a part of a pass, or edit its attention.

Each function returns a tap. `trace.compose` makes one of several, a Recorder among them. What is
changed is changed for all that comes after, the cache included: nothing else differs from a run
that had computed this array itself.

    forward(tokens, parameters, config, tap=compose(zero(head(config, 3, 0)), recorder))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from npgpt._arrays import Array
from npgpt.audit._frozen_norm import in_float64
from npgpt.audit.sites import BIASES, Site, check_index
from npgpt.errors import SettingError
from npgpt.model._parameters import Parameters
from npgpt.trace import NAMES, Recorder, Selective, Tap

__all__ = ["add", "change", "knock_out", "mean", "patch", "replace", "resample", "zero"]


def change(where: Site, to: Callable[[Array], Array]) -> Tap:
    """A tap that puts `to(part)` in place of this part of an activation: what all others are.

    `to` gives an array of the part's shape and dtype, and does not write to the part; else
    SettingError is raised during the pass.

    >>> from npgpt.audit.sites import head
    >>> from npgpt._config import Config
    >>> tap = change(head(Config(), 0, 1), lambda part: 2 * part)
    >>> tap("head_out", 0, np.ones((1, 3, 1, 2)))[0].tolist()
    [[[1.0, 1.0]], [[2.0, 2.0]], [[1.0, 1.0]]]
    """
    _check_is_computed(where)

    def tap(name: str, layer: int | None, array: Array) -> Array:
        part = where.of(array)
        new = np.asarray(to(part))
        if new.shape != part.shape or new.dtype != part.dtype:
            raise SettingError(
                f"what is to replace {name!r} has shape {new.shape} and dtype {new.dtype}; it is "
                f"{part.shape} and {part.dtype} there: give an array like it"
            )
        changed = array.copy(order="K")  # in the same layout: another one may round differently
        changed[where.index] = new
        return changed

    return Selective(tap, lambda name, layer: (name, layer) == (where.name, where.layer))


def zero(where: Site, parameters: Parameters | None = None) -> Tap:
    """Zero ablation: nothing in place of this part.

    parameters: the model's, which only a bias takes: it is subtracted from what it was added to,
    so that the run is, but for that rounding, one of a model without it.
    """
    if where.name not in BIASES:
        return change(where, np.zeros_like)
    if parameters is None:
        raise SettingError(f"'{where}' is a bias; give the parameters too, which hold it")
    bias = in_float64(_bias(where, parameters)).astype(parameters.dtype)
    within = Site(where.activation, where.layer, where.at)
    return change(within, lambda part: np.subtract(part, bias, dtype=part.dtype))


def mean(where: Site, reference: Recorder) -> Tap:
    """Mean ablation: its mean over all rows and positions of another trace, at every position.

    Source: Wang et al. 2022, "Interpretability in the Wild", section 2.1.
    """
    whole = _reference(where, reference)
    axes = NAMES[where.name].axes.split()
    over = tuple(number for number, axis in enumerate(axes) if axis in ("batch", "query", "kept"))
    means = np.asarray(np.mean(whole, axis=over, keepdims=True, dtype=np.float64))
    at = {axis: 0 if axis == "query" else index for axis, index in where.at}
    part_means = means[tuple(at.get(axis, slice(None)) for axis in axes)].astype(whole.dtype)
    return change(where, lambda part: _repeated(part_means, part))


def resample(where: Site, reference: Recorder, *, seed: int) -> Tap:
    """Resample ablation: for each row, the same part of a row of another trace, drawn by `seed`.

    The other trace has as many positions as the run. Each call draws the same rows.

    Source: Chan et al. 2022, "Causal Scrubbing".
    """
    part = where.of(_reference(where, reference))

    def to(old: Array) -> Array:
        rows = np.random.default_rng(seed).integers(0, len(part), len(old))
        chosen: Array = part[rows]
        return chosen

    return change(where, to)


def replace(where: Site, array: Array) -> Tap:
    """This array, of the part's shape and dtype, in its place: also to set an attention pattern."""
    return change(where, lambda _: array)


def patch(where: Site, source: Recorder) -> Tap:
    """The same part of another trace: activation patching. Patched with itself, nothing changes.

    Source: Vig et al. 2020, "Causal Mediation Analysis for Interpreting Neural NLP".
    """
    _check_is_computed(where)
    return replace(where, where.of(source[where.name, where.layer]))


def add(where: Site, vector: Array) -> Tap:
    """Steering: `vector` (width of the part's last axis) added to each row and position.

    Source: Turner et al. 2023, "Activation Addition".
    """
    vector = np.asarray(vector)

    def to(part: Array) -> Array:
        if vector.shape != part.shape[-1:] or vector.dtype != part.dtype:
            raise SettingError(
                f"the vector has shape {vector.shape} and dtype {vector.dtype}; {where.name!r} "
                f"takes {part.shape[-1:]} and {part.dtype}"
            )
        steered: Array = part + vector
        return steered

    return change(where, to)


def knock_out(where: Site, keys: Sequence[int]) -> Tap:
    """Attention knockout: `where`, a part of "scores", may not look at these key positions.

    The others share its attention. A query that may look at nothing else gets zeros.

    Source: Geva et al. 2023, "Dissecting Recall of Factual Associations", section 4.
    """
    if where.name != "scores":
        raise SettingError(
            f"attention is cut in 'scores', not in {where.name!r}; give a place there"
        )

    def to(part: Array) -> Array:
        for key in keys:
            check_index("scores", "key", key, part.shape[-1])
        cut = part.copy()
        cut[..., list(keys)] = -np.inf
        return cut

    return change(where, to)


def _bias(where: Site, parameters: Parameters) -> Array:
    if where.layer is None:
        return parameters.ln_f.bias
    block = parameters.h[where.layer]
    return (block.attn if where.name == "attn_bias" else block.mlp).c_proj.bias


def _check_is_computed(where: Site) -> None:
    if where.name in BIASES:
        raise SettingError(
            f"'{where}' is a bias, the same in every run: it can be set to zero, and to nothing "
            "else"
        )


def _reference(where: Site, reference: Recorder) -> Array:
    _check_is_computed(where)
    if "key" in NAMES[where.name].axes.split():
        raise SettingError(
            f"{where.name!r} means something else in each text; take the mean of, or resample, "
            "'head_out'"
        )
    return reference[where.name, where.layer]


def _repeated(one: Array, like: Array) -> Array:
    # Where it cannot be repeated to the shape, `change` says what was expected.
    fits = all(few in (1, many) for few, many in zip(one.shape, like.shape, strict=True))
    return np.broadcast_to(one, like.shape) if fits else one
