"""The noise floor: what honest rounding does to one very example of a whole model.

Worst-case bounds multiply through a model until they promise nothing. So the floor is measured,
by disturbing the float64 reference as rounding in the claimed dtype would, and seeing how far each
activation moves. It is the largest of

- the error of one run of the reference in the claimed dtype (where that is not float64 itself);
- the movement in `RUNS` float64 runs in which each weight, and each activation as it passes, is
  multiplied by 1 ± u, signs random, u the dtype's unit roundoff (in float64, two units, since one
  would mostly be rounded away again). Two kinds of error are larger than that and are added: those
  of a layer norm's mean and deviation, common to the row, √n u each, which is what sums of n terms
  come to (Higham and Mary 2019); and u |x| / 2 on gelu(x) = x/2 (1 + f), where 1 + f rounds;
- u times the largest value, since disturbances may cancel by chance.

A layer norm's scale is not disturbed, since what its error does is added to the norm; its own floor
has that error, √n u, with what moves it.

One number for each activation: the largest over its elements. A candidate is held to `FACTOR`
times the floor, because a few random runs rarely meet the worst combination of signs.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch

from oracle import model
from oracle.bounds._rounding import Array, format_of
from oracle.ops._attention import Tap, keep

RUNS = 3
FACTOR = 8
MOST_ALONE = 8

Key: TypeAlias = tuple[str, int | None]
Activations: TypeAlias = dict[Key, Array]
Config: TypeAlias = Mapping[str, Any]
Weights: TypeAlias = Mapping[str, Array]

NO_PATCHES: Mapping[Key, Array] = MappingProxyType({})


@dataclass(frozen=True)
class Measured:
    """What each activation of one row is, in float64, and how far honest rounding moves it.

    values have the shapes that the oracle's taps see, with a batch axis of length 1.
    """

    values: Activations
    floors: dict[Key, float]

    @property
    def logits(self) -> Array:
        """(query, vocab)."""
        return self.values["logits", None][0]

    def allowed(self, name: str = "logits", layer: int | None = None) -> float:
        """The largest difference from that activation which is put down to rounding."""
        return FACTOR * self.floors[name, layer]


def measure(
    weights: Weights,
    config: Config,
    row: Array,
    *,
    dtype: str,
    patches: Mapping[Key, Array] = NO_PATCHES,
    tap: Tap = keep,
    device: torch.device | str = "cpu",
) -> Measured:
    """The float64 reference of one row of token ids (query,), unpadded, and its noise floors.

    `patches` are put in the place of the activations they are named after; then each activation
    goes through `tap`, as in the model. The reference runs on `device`.

    dtype: a name in `rounding.FORMATS`, what the candidate claims to compute in. The weights must
    be exact in it. A floor is infinite where the run in that dtype overflows.

    >>> config = {"vocab_size": 3, "n_positions": 4, "n_embd": 2, "n_layer": 0, "n_head": 1}
    >>> rng = np.random.default_rng(0)
    >>> shapes = model.shapes(config).items()
    >>> weights = {name: rng.standard_normal(shape) for name, shape in shapes}
    >>> measured = measure(weights, config, np.array([2, 0]), dtype="float32")
    >>> measured.logits.shape, measured.floors["logits", None] < 1e-5
    ((2, 3), True)
    """
    options: dict[str, Any] = {"patches": patches, "tap": tap, "device": device}
    values = activations(weights, config, row, **options)
    others = []
    if dtype != "float64":
        others.append(activations(weights, config, row, dtype=dtype, **options))
    unit = _unit(dtype)
    for seed in range(RUNS):
        shake = _Shake(np.random.default_rng(seed), unit)
        shaken = {name: shake.whole(array) for name, array in weights.items()}
        others.append(activations(shaken, config, row, shake=shake, **options))
    floors = {
        key: max(unit * _largest(value), *(_distance(other[key], value) for other in others))
        for key, value in values.items()
    }
    return Measured(values, floors)


def noise_floor(
    weights: Weights,
    config: Config,
    tokens: Array,
    mask: Array,
    *,
    dtype: str,
    device: torch.device | str = "cpu",
) -> tuple[Array, Array]:
    """Reference logits (batch, query, vocab) of a padded batch, and what is allowed (batch, 1, 1).

    tokens (batch, query), mask (batch, query), True where a token is real. Each row is run alone
    and without its padding, so that nothing depends on how the reference treats padding; there,
    the logits are NaN. `allowed` is `FACTOR` times the row's floor; 0 for a row of padding only.
    """
    logits = np.full((*tokens.shape, config["vocab_size"]), np.nan)
    allowed = np.zeros((len(tokens), 1, 1))
    lengths = mask.sum(1)
    for length in sorted(set(lengths.tolist()) - {0}):
        places = np.flatnonzero(lengths == length)
        rows = tokens[places][mask[places]].reshape(len(places), length)
        reference, floors = _logits_and_floors(weights, config, rows, dtype=dtype, device=device)
        logits[places[:, None], np.nonzero(mask[places])[1].reshape(rows.shape)] = reference
        allowed[places, 0, 0] = [FACTOR * floor for floor in floors]
    return logits, allowed


def _logits_and_floors(
    weights: Weights,
    config: Config,
    rows: Array,
    *,
    dtype: str,
    device: torch.device | str,
) -> tuple[Array, list[float]]:
    """What `measure` finds of the logits of each of several rows (row, query), unpadded.

    All at once, each row disturbed as it would be alone, and one run kept at a time: so a thousand
    short rows cost little more than one, and a large model has room.
    """
    key: Key = ("logits", None)
    options: dict[str, Any] = {"device": device, "names": {"logits"}}
    values = activations(weights, config, rows, **options)[key]
    unit = _unit(dtype)
    floors = [unit * _largest(value) for value in values]

    def moved(other: Array) -> list[float]:
        return [max(f, _distance(*pair)) for f, *pair in zip(floors, other, values, strict=True)]

    if dtype != "float64":
        # A sum's order may depend on how many rows there are; few are run as each would be alone.
        parts = [rows] if len(rows) > MOST_ALONE else rows[:, None]
        run = [activations(weights, config, part, dtype=dtype, **options)[key] for part in parts]
        floors = moved(np.concatenate(run))
    for seed in range(RUNS):
        shake = _Shake(np.random.default_rng(seed), unit)
        shaken = {name: shake.whole(array) for name, array in weights.items()}
        floors = moved(activations(shaken, config, rows, shake=shake, **options)[key])
    return values, floors


def _unit(dtype: str) -> float:
    return max(format_of(dtype).unit, 2 * format_of("float64").unit)


@dataclass(frozen=True)
class _Shake:
    """Disturbs arrays as rounding to a unit roundoff of `unit` would, and each row alike."""

    rng: np.random.Generator
    unit: float

    def __call__(self, array: Array) -> Array:
        """An activation (row, ...), the same signs for each row."""
        return array * (1 + self.unit * self._signs((1, *array.shape[1:])))

    def whole(self, array: Array) -> Array:
        """A tensor of weights, in float64."""
        return array.astype(np.float64) * (1 + self.unit * self._signs(array.shape))

    def common_to_row(self, normed: Array, x: Array, gain: Array, scale: Array) -> Array:
        """What errors in the mean and scale of each row of x do to its layer norm, `normed`."""
        rows = (1, *x.shape[1:-1], 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            lever = np.abs(x).mean(-1, keepdims=True) / scale
        signs = self._signs(rows) * normed + self._signs(rows) * lever * gain
        return self.of_sums(x.shape[-1]) * signs

    def of_sums(self, width: int) -> float:
        """The relative error of a sum of so many terms."""
        return self.unit * math.sqrt(width)

    def _signs(self, shape: tuple[int, ...]) -> Array:
        return self.rng.choice((-1.0, 1.0), shape)


def activations(
    weights: Weights,
    config: Config,
    row: Array,
    *,
    dtype: str = "float64",
    shake: _Shake | None = None,
    patches: Mapping[Key, Array] = NO_PATCHES,
    tap: Tap = keep,
    device: torch.device | str = "cpu",
    names: Collection[str] | None = None,
) -> Activations:
    """Every activation that the oracle's tap sees for one row (query,), as float64 arrays.

    Computed in `dtype` on `device`; `shake` disturbs each activation as it passes. `patches` and
    `tap` as in `measure`. row may be several rows (row, query), equally long. names: which
    activations are kept, all by default.
    """
    recorder = _Recorder(weights, {**model.DEFAULTS, **config}, shake, patches, tap, names)
    place = {"device": device, "dtype": getattr(torch, dtype)}
    tensors = {name: _tensor(array).to(**place) for name, array in weights.items()}
    with torch.no_grad():
        model.forward(tensors, config, _tensor(np.atleast_2d(row)).to(device), tap=recorder)
    return recorder.seen


@dataclass
class _Recorder:
    """The tap of `activations`: patches, disturbs and records what passes.

    To disturb a layer norm it takes what that read and what it divided by, and to disturb a GELU
    what that read; these have passed just before.
    """

    weights: Weights
    config: Config  # with every field
    shake: _Shake | None
    patches: Mapping[Key, Array]
    tap: Tap
    names: Collection[str] | None
    seen: Activations = field(default_factory=dict)
    embedded: Array = field(default_factory=lambda: np.zeros(1))  # the tokens' embeddings
    residual: Array = field(default_factory=lambda: np.zeros(1))  # the latest residual stream
    norm_scale: Array = field(default_factory=lambda: np.zeros(1))
    mlp_pre: Array = field(default_factory=lambda: np.zeros(1))

    def __call__(self, name: str, layer: int | None, tensor: torch.Tensor) -> torch.Tensor:
        if (name, layer) in self.patches:
            tensor = _tensor(self.patches[name, layer]).to(tensor)
        tensor = self.tap(name, layer, tensor)
        if self.shake is not None and name.endswith("_scale"):
            # Recorded with the error of its sum, which `common_to_row` then gives the layer norm.
            self.norm_scale = tensor.double().cpu().numpy()
            width = self.residual.shape[-1]
            self._keep(name, layer, self.norm_scale * (1 + self.shake.of_sums(width)))
            return tensor
        if self.shake is not None:
            array = self._disturbed(self.shake, name, layer, tensor.cpu().numpy())
            tensor = torch.from_numpy(array).to(tensor)
        if name == "token_embedding":
            self.embedded = tensor.double().cpu().numpy()
        if self.names is None or name in self.names:
            self._keep(name, layer, tensor.double().cpu().numpy())
        return tensor

    def _keep(self, name: str, layer: int | None, array: Array) -> None:
        if self.names is None or name in self.names:
            self.seen[name, layer] = array

    def _disturbed(self, shake: _Shake, name: str, layer: int | None, exact: Array) -> Array:
        array = shake(exact)
        if name.startswith("ln_"):
            prefix = name if layer is None else f"h.{layer}.{name}"
            gain = self.weights[f"{prefix}.weight"]
            array = array + shake.common_to_row(array, self.residual, gain, self.norm_scale)
        if name == "mlp_post" and self.config["activation_function"].startswith("gelu"):
            array = array + (shake(self.mlp_pre) - self.mlp_pre) / 2
        if name == "mlp_pre":
            self.mlp_pre = array
        if name == "position_embedding":
            self.residual = self.embedded + array
        elif name.startswith("resid_"):
            self.residual = array
        return array


def _tensor(array: Array) -> torch.Tensor:
    """A copy, since torch warns of memory that it may not write to, such as a mapped file's."""
    return torch.from_numpy(np.array(array))


def _largest(value: Array) -> float:
    return float(np.abs(value[np.isfinite(value)]).max(initial=0))


def _distance(other: Array, value: Array) -> float:
    """The largest difference; infinite where one is finite and the other is not."""
    with np.errstate(invalid="ignore"):
        moved = np.where(other == value, 0, np.abs(other - value))
    return float(np.nan_to_num(moved, nan=np.inf).max(initial=0))
