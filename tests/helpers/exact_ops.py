"""The ops to fifty digits, one number at a time, in mpmath: the referee of the oracle's own ops."""

import math

import mpmath
import numpy as np
from mpmath import mpf

from oracle.bounds._rounding import format_of

mpmath.mp.dps = 50


def stored(exact):
    """How far storing fifty digits as float64 may move them: what a comparison has to allow."""
    return format_of("float64").unit * np.abs(exact) + format_of("float64").subnormal


def elementwise(function, x):
    """function, of an mpf, over an array; float64."""
    return np.array([float(function(mpf(float(v)))) for v in x.ravel()]).reshape(x.shape)


def by_row(function, x, *others):
    """function, of lists of mpf, over the last axis of x and the vectors `others`; float64."""
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    vectors = [[mpf(float(v)) for v in vector] for vector in others]
    found = [[float(v) for v in function([mpf(float(v)) for v in r], *vectors)] for r in rows]
    return np.array(found, np.float64).reshape(x.shape)


def gelu(x):
    # erfc, because 1 + erf(x) would cancel.
    return x / 2 * mpmath.erfc(-x / mpmath.sqrt(2))


def gelu_new(x):
    t = mpmath.sqrt(2 / mpmath.pi) * (x + mpf("0.044715") * x**3)
    return x / (1 + mpmath.exp(-2 * t))


def silu(x):
    return x / (1 + mpmath.exp(-x))


def log_sum(z):
    return mpmath.log(mpmath.fsum(mpmath.exp(v) for v in z))


def log_softmax(row, temperature):
    top = max(row)
    if top == -mpmath.inf:
        return row
    if temperature == 0:
        return [mpf(0) - mpmath.log(row.count(top)) if v == top else -mpmath.inf for v in row]
    z = [(v - top) / mpf(temperature) for v in row]
    return [v - log_sum(z) for v in z]


def softmax(row, temperature):
    return [mpmath.exp(v) for v in log_softmax(row, temperature)]


def layer_norm(row, weight, bias, eps):
    n = len(row)
    mean = mpmath.fsum(row) / n
    variance = mpmath.fsum((v - mean) ** 2 for v in row) / n
    root = mpmath.sqrt(variance + mpf(eps))
    return [(v - mean) / root * w + b for v, w, b in zip(row, weight, bias, strict=True)]


def attention(query, key, value, mask, scale):
    """query (n, d), key and value (m, d), mask (n, m) -> (n, d)."""
    out = np.zeros((len(query), value.shape[-1]))
    for i, q in enumerate(query):
        seen = np.flatnonzero(mask[i])
        scores = [mpf(scale) * _dot(q, key[j]) for j in seen]
        pattern = softmax(scores, 1) if scores else []
        for column in range(value.shape[-1]):
            out[i, column] = float(_dot(pattern, value[seen, column]))
    return out


def _dot(a, b):
    return mpmath.fsum(mpf(x) * mpf(float(y)) for x, y in zip(map(_mpf, a), b, strict=True))


def _mpf(x):
    return x if isinstance(x, mpf) else mpf(float(x))
