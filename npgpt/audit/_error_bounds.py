"""Forward error bounds: what each step of a pass should give, and how far rounding may move it.

u is how far one rounding moves a number of size 1, γₙ = n u / (1 − n u) how far n of them may
(Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.1). What is expected is
computed in float64, which rounds too: u counts both.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from npgpt.audit._frozen_norm import Float64, in_float64
from npgpt.model._parameters import Affine
from npgpt.ops._activation import ACTIVATIONS
from npgpt.ops._softmax import softmax

Expected: TypeAlias = tuple[Float64, Float64]  # what it should be, how far rounding may move it
# Roundings of an exponential with what stands around it: NumPy's is within 4 units in the last
# place; and of a whole activation function, of which the steepest slope is below 1.2.
_EXP, _ACTIVATION = 8, 24


def rounding(dtype: npt.DTypeLike) -> Rounding:
    """The rounding of float32 or float64, and of what is computed in float64 to compare with.

    >>> rounding(np.float32).u > 2**-24
    True
    """
    form = np.finfo(dtype)
    return Rounding(float(form.eps + np.finfo(np.float64).eps) / 2, float(form.tiny))


class Rounding(NamedTuple):
    """u, and what the smallest numbers lose at most; each method gives an `Expected`."""

    u: float
    tiny: float

    def gamma(self, n: int) -> float:
        """γₙ."""
        return n * self.u / (1 - n * self.u)

    def linear(self, x: Float64, weight: Float64, bias: Float64 | float = 0.0) -> Expected:
        """`x @ W + b`."""
        n = x.shape[-1]
        size = np.abs(x) @ np.abs(weight) + np.abs(bias)
        return x @ weight + bias, self.gamma(n + 1) * size + (n + 1) * self.tiny

    def centred(self, x: Float64) -> Expected:
        """x without its mean."""
        centred = x - x.mean(axis=-1, keepdims=True)
        of_mean = self.gamma(x.shape[-1] + 1) * np.abs(x).mean(axis=-1, keepdims=True)
        return centred, self.gamma(1) * np.abs(centred) + 2 * of_mean + 2 * self.tiny

    def scale(self, x: Float64, eps: float) -> Expected:
        """What a layer norm divides by."""
        centred, error = self.centred(x)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        moved = ((2 * np.abs(centred) + error) * error).mean(axis=-1, keepdims=True)
        # Also eps, the sum and the root are rounded.
        moved = 2 * moved + self.gamma(x.shape[-1] + 4) * (variance + eps) + self.tiny
        scale = np.sqrt(variance + eps)
        return scale, moved / scale + self.gamma(2) * scale

    def normed(self, x: Float64, scale: Float64, ln: Affine) -> Expected:
        """A layer norm of x, given its scale."""
        weight, bias = in_float64(ln.weight), in_float64(ln.bias)
        centred, error = self.centred(x)
        scaled = centred / scale * weight
        moved = 2 * error / scale * np.abs(weight) + self.gamma(4) * (np.abs(scaled) + np.abs(bias))
        return scaled + bias, moved + 2 * self.tiny * (1 + np.abs(weight))

    def pattern(self, scores: Float64) -> Expected:
        """The softmax of scores."""
        p = softmax(scores).astype(np.float64, copy=False)
        top = scores.max(axis=-1, keepdims=True)
        below = np.where(p > 0, np.subtract(top, scores, where=p > 0, out=np.zeros_like(p)), 0)
        each = self.u * below + self.gamma(_EXP)
        together = np.sum(p * each, axis=-1, keepdims=True) + self.gamma(p.shape[-1] + 2)
        return p, 2 * p * (each + together) + self.tiny

    def activation(self, name: str, x: Float64) -> Expected:
        """The activation function of that name."""
        y = ACTIVATIONS[name](x).astype(np.float64, copy=False)
        return y, self.gamma(_ACTIVATION) * np.abs(x) + self.tiny
