"""Weights under which the logits of a model show one of its parts directly.

The final layer norm divides all features by one number and shifts them by another. So a feature is
read as a ratio of differences: a constant c in one feature and −c in another, the wanted y in a
third and −y in a fourth; with a head row that is 1 at one of the pair and −1 at the other, y is
c times the quotient of two logits, whatever the norm's scale. The tokens' own embedding is zero, so
all that the model reads comes from its position embedding.

How exact that is: all products are with 1, −1 or 0, so each logit has three roundings that count (a
deviation, its product with the common scale, the difference of the pair), and the quotient of two
has eight in all. The mean that is taken off, of numbers that cancel, is off by γ_n mean|r| at most,
which enters with those three roundings alone. So a reading is off by γ_8 |y| + 4 u γ_n mean|r| at
most, u being the unit roundoff of the claimed dtype, and by some of the smallest numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from oracle.adapters.guard import Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds import _activation as activation_bounds
from oracle.bounds._attention import attention as attention_bound
from oracle.bounds._layer_norm import layer_norm as layer_norm_bound
from oracle.bounds._rounding import Array, format_of, gamma
from oracle.conformance._bare_model import (
    ask,
    asleep,
    both,
    exact,
    pairs,
    ratios,
    reading_error,
    sized,
)
from oracle.ops._activation import ACTIVATIONS
from oracle.ops._layer_norm import layer_norm
from oracle.strategies._configs import Config

# Size of what stands in a position's pair of features: so large that no epsilon counts beside its
# variance, and smaller in float16, which has no larger squares.
LOUD, LOUD_FLOAT16 = 2.0**8, 2.0**4
# A unit roundoff above this is too large to solve for an epsilon.
COARSE = 2.0**-20
ROW = (1.0, -2.0, 0.5, 3.0, -1.5)


@dataclass(frozen=True)
class Reading:
    """values: what the subject's part gives; expected: the oracle's, float64; allowed: how far
    rounding may move them apart, in the part and in the reading of it."""

    values: Array
    expected: Array
    allowed: Array

    @property
    def wrong(self) -> Array:
        """Where they are farther apart than that."""
        with np.errstate(invalid="ignore"):
            return ~(np.abs(self.values - self.expected) <= self.allowed)


def activation(
    subject: Subject, name: str, xs: Sequence[float] | Array, *, config: Config | None = None
) -> Reading:
    """f(x) of each of xs (n,), with `name` as activation_function, in one call of `logits`.

    xs are rounded to float32 and the subject's dtype; none should be beyond a few hundred. They
    are the biases of hidden units whose inputs weigh nothing. Raises Misbehaviour where the
    subject gives no logits.

    >>> from oracle.adapters import pytorch
    >>> activation(pytorch.subject(dtype="float64"), "relu", [-2.0, 0.25]).values.tolist()
    [0.0, 0.25]
    """
    xs = exact(subject, xs)
    n = len(xs)
    given = sized(config or {}, 2 + 2 * n, 1, 2 + n, activation_function=name)
    arrays = asleep(given)
    arrays["wpe.weight"][0, :2] = 1, -1
    arrays["h.0.mlp.c_fc.bias"][:n] = xs
    arrays["h.0.mlp.c_proj.weight"][:n, 2:] = pairs(n)
    arrays["wte.weight"][1:] = pairs(1 + n)
    values = ratios(ask(subject, given, arrays))[0]
    expected = ACTIVATIONS[name](torch.from_numpy(xs)).numpy()
    off = both(activation_bounds.ACTIVATIONS[name], subject.dtype, xs)
    most = np.abs(expected) + off
    return Reading(
        values, expected, off + reading_error(most, 2 + 2 * most.sum(), given, subject.dtype)
    )


def normed(
    subject: Subject,
    xs: Sequence[float] | Array,
    weight: Sequence[float] | Array,
    bias: Sequence[float] | Array,
    eps: float,
    *,
    name: str = "ln_f",
    config: Config | None = None,
) -> Reading:
    """Layer norm of one row: xs, weight and bias are (n,), rounded to the subject's dtype.

    name: "ln_f", which the logits show as it is; or "ln_1", read through the values of attention to
    one key, from n = 3 on. Raises ValueError below that, and Misbehaviour where the subject gives
    no logits.

    >>> from oracle.adapters import pytorch
    >>> row, one = [1.0, 2.0, 3.0, 6.0], np.ones(4)
    >>> normed(pytorch.subject(dtype="float64"), row, one, 0 * one, 0.5).values.round(4).tolist()
    [-1.0, -0.5, 0.0, 1.5]
    """
    row, gain, shift = (exact(subject, array) for array in (xs, weight, bias))
    tensors = map(torch.from_numpy, (row, gain, shift))
    expected = layer_norm(*tensors, eps=eps).numpy()
    off = both(layer_norm_bound, subject.dtype, row, gain, shift, eps=eps)
    given = (config or {}) | {"layer_norm_epsilon": eps}
    if name == "ln_f":
        return Reading(_final_norm(subject, given, row, gain, shift), expected, off)
    if len(row) < 3:
        raise ValueError(f"ln_1 of a row of {len(row)} numbers cannot be read; give at least 3")
    size = max(1.0, float(np.abs(expected).max()))
    values = _first_norm(subject, given, row, gain, shift, 2 ** np.ceil(np.log2(size)))
    # 2 u in the residual stream, 4 u times 3 in the norm, for a value and for what it is divided
    # by; the sum is less than 32 u of the largest.
    return Reading(values, expected, off + gamma(32, subject.dtype) * (size + off.max()))


def small_row(eps: float) -> Array:
    """A row whose variance is about eps, so that a layer norm of it shows its epsilon.

    >>> float(small_row(0.25).var()) > 0.25
    True
    """
    return np.array(ROW) * 2.0 ** np.round(np.log2(eps) / 2)


def solved_epsilon(
    subject: Subject,
    xs: Sequence[float] | Array,
    eps: float,
    *,
    name: str = "ln_f",
    config: Config | None = None,
) -> float | None:
    """The epsilon with which its layer norm gives what it gives, in the fewest digits that do.

    xs: a row whose variance is about that of the epsilon. None where no epsilon explains that row
    and one twice as large, or where the configured one does; and in bfloat16 and float16, which
    leave too many that do.

    >>> from oracle.adapters import pytorch
    >>> row = [0.25, -0.5, 0.125, 0.75]
    >>> solved_epsilon(pytorch.subject(dtype="float64"), row, 0.1) is None
    True
    """
    row = exact(subject, xs)
    one, zero = np.ones(len(row)), np.zeros(len(row))
    rows = (row, exact(subject, 2 * row))
    readings = [normed(subject, r, one, zero, eps, name=name, config=config) for r in rows]
    if format_of(subject.dtype).unit > COARSE or not any(r.wrong.any() for r in readings):
        return None
    largest = int(np.abs(row - row.mean()).argmax())
    with np.errstate(all="ignore"):
        deviation = (row - row.mean())[largest] / readings[0].values[largest]
        solved = float(deviation**2 - row.var())
    if not np.isfinite(solved):
        return None
    for rounded in (0.0, *(float(f"{solved:.{digits}e}") for digits in range(6))):
        if rounded >= 0 and all(
            (np.abs(reading.values - _normed_with(r, rounded)) <= reading.allowed).all()
            for r, reading in zip(rows, readings, strict=True)
        ):
            return rounded
    return None


def _normed_with(row: Array, eps: float) -> Array:
    with np.errstate(all="ignore"):
        return (row - row.mean()) / np.sqrt(row.var() + eps)


def pattern(
    subject: Subject,
    query: Sequence[Sequence[float]] | Array,
    key: Sequence[Sequence[float]] | Array,
    *,
    config: Config | None = None,
) -> Reading:
    """Who looks where: softmax(query keyᵀ), causal, as (position, position).

    query, key: (position, width), rounded to the subject's dtype. They are what the first of two
    heads makes of the position embedding; values are one-hot. The factor 1/√head_dim is made up for
    by larger queries. Raises Misbehaviour where the subject gives no logits.

    >>> from oracle.adapters import pytorch
    >>> zeros = np.zeros((3, 1))
    >>> pattern(pytorch.subject(dtype="float64"), zeros, zeros).values.round(4).tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.3333, 0.3333, 0.3333]]
    """
    q, k = (exact(subject, array) for array in (query, key))
    length, width = q.shape
    m = 2  # the width is 2 m², m a power of two, so that a norm of a pair of features is ±m
    while 2 * m * m < 4 * length + 2 or m * m < max(length, width):
        m *= 2
    # What counts is that it is small beside what is normalised; many have theirs written in.
    eps = subject.claims.nearest({"layer_norm_epsilon": 1e-12})
    given = sized(config or {}, 2 * m * m, 2, 2 + length, length, **eps)
    scale = 1 / m if given["scale_attn_weights"] else 1.0
    loud = LOUD_FLOAT16 if subject.dtype == "float16" else LOUD
    arrays = _looking(given, q / scale, k, loud)
    try:
        logits = ask(subject, given, arrays, length)
    except Misbehaviour as misbehaviour:
        if not misbehaviour.refuses or config is None:
            raise
        given |= {"layer_norm_epsilon": config["layer_norm_epsilon"]}
        logits = ask(subject, given, arrays, length)
    values = ratios(logits)
    expected, off = _pattern(q / scale, k, scale, loud / m, given, subject.dtype)
    total = 2 * (loud + 2 + off.sum())
    return Reading(
        values, expected, off + reading_error(expected + off, total, given, subject.dtype)
    )


def _final_norm(subject: Subject, config: Config, row: Array, gain: Array, shift: Array) -> Array:
    """With no layers and the head's rows unit vectors, the logits are the normed row."""
    n = len(row)
    given = sized(config, n, 1, 1 + n, n_layer=0)
    arrays = asleep(given)
    arrays["wpe.weight"][0], arrays["ln_f.weight"][:], arrays["ln_f.bias"][:] = row, gain, shift
    arrays["wte.weight"][1:] = np.eye(n)
    return ask(subject, given, arrays)[0, 1:]


def _first_norm(
    subject: Subject, config: Config, row: Array, gain: Array, shift: Array, size: float
) -> Array:
    """The row stands in all features, so attention's bias takes it away again.

    What is left is 0 in feature 0, a constant in feature 1, and in the others some of the normed
    numbers, made so loud that the row's own rounding does not count; size: that of the largest.
    """
    n = len(row)
    given = sized(config, n, 1, n)
    loud = 2 ** np.ceil(np.log2(max(1.0, np.abs(row).max())))
    apart = np.hstack([-np.ones((n - 1, 1)), np.eye(n - 1)])  # each feature less feature 0
    found: list[float] = []
    while len(found) < n:
        some = range(len(found), min(len(found) + n - 2, n))
        arrays = asleep(given)
        arrays["wpe.weight"][0], arrays["wte.weight"][1:] = row, apart
        arrays["h.0.ln_1.weight"][:], arrays["h.0.ln_1.bias"][:] = gain, shift
        arrays["h.0.attn.c_attn.weight"][:, 2 * n :] = np.eye(n)
        arrays["h.0.attn.c_proj.weight"][some, range(2, 2 + len(some))] = loud
        bias = -row
        bias[1] = exact(subject, loud * size - row[1])
        arrays["h.0.attn.c_proj.bias"][:] = bias
        constant = (row + bias)[1] / loud
        found.extend(ratios(ask(subject, given, arrays))[0, : len(some)] * constant)
    return np.array(found)


def _looking(config: Config, query: Array, key: Array, loud: float) -> dict[str, Array]:
    """Features: a pair for each position, a pair for each key looked at, a pair of constants."""
    (length, width), n = query.shape, config["n_embd"]
    places, outs, constants = np.split(np.arange(4 * length + 2), [2 * length, 4 * length])
    arrays, here = asleep(config), pairs(length)
    arrays["wpe.weight"][:, places] = loud * here
    arrays["h.0.ln_1.weight"][:] = np.sqrt(2 / n)
    maps = np.zeros((3, 2, n // 2, n))  # (query, key or value; head; its number; feature)
    maps[0, 0, :width, : 2 * length] = query.T @ here / 2
    maps[1, 0, :width, : 2 * length] = key.T @ here / 2
    maps[2, 0, :length, : 2 * length] = here / 2
    arrays["h.0.attn.c_attn.weight"][:] = maps.reshape(-1, n).T
    arrays["h.0.attn.c_proj.weight"][:length, outs] = here
    arrays["h.0.attn.c_proj.bias"][constants] = 1, -1
    arrays["wte.weight"][1, constants] = 1, -1
    arrays["wte.weight"][2:, outs] = here
    return arrays


def _pattern(
    query: Array, key: Array, scale: float, deviation: float, config: Config, dtype: str
) -> tuple[Array, Array]:
    """The causal pattern in float64, and what rounding may do to it before it is read.

    Queries and keys come through a layer norm, off by ρ, and a product of matrices of n terms;
    scores off by E turn p into at most p exp(2E). The attention's own bound is for exact operands.
    """
    n, length = config["n_embd"], len(query)
    row = np.zeros(n)
    row[:2] = np.sqrt(n / 2) * deviation * np.array([1, -1])
    gain, eps = np.full(n, np.sqrt(2 / n)), config["layer_norm_epsilon"]
    rho = both(layer_norm_bound, dtype, row, gain, 0 * gain, eps=eps).max()
    rho = rho + eps / deviation**2
    q, k = np.abs(query), np.abs(key)
    dq, dk = (rho * a + gamma(n, dtype) * (a + 2 * rho * a.sum(0)) for a in (q, k))
    mask = np.tri(length, dtype=bool)
    error = np.where(mask, scale * (dq @ k.T + q @ dk.T + dq @ dk.T), 0).max(-1, keepdims=True)
    scores = np.where(mask, scale * (query @ key.T), -np.inf)
    expected = np.exp(scores - scores.max(-1, keepdims=True))
    expected = expected / expected.sum(-1, keepdims=True)
    room = np.zeros((length, n // config["n_head"] - query.shape[1]))
    wide = [np.hstack([array, room])[None, None] for array in (query, key)]
    values = np.eye(length)[None, None]
    off = both(attention_bound, dtype, *wide, values, mask=mask, scale=scale)[0, 0]
    moved = np.minimum(expected * np.expm1(np.minimum(2 * error, 700)), 1)
    return expected, off + moved + expected * (rho + gamma(n, dtype) * (1 + rho))
