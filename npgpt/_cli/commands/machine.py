"""What a machine can do: the rates of the matrix products that a model is made of."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt._config import Config
from npgpt.model._parameters import Parameters

_SQUARE = 2048  # rows of the matrices whose product tells the rate


class Machine(NamedTuple):
    """bandwidth: bytes of weights a second; rate: multiplications and additions a second."""

    bandwidth: float
    rate: float


def measure(parameters: Parameters, runs: int) -> Machine:
    """Multiply all of a model's matrices with a vector, and two large matrices with each other."""
    *maps, head = matrices(parameters)
    square = np.ones((_SQUARE, _SQUARE), head.dtype)
    out = np.empty_like(square)
    # The quicker way counts: the maps as the model applies them, or as the head is applied.
    ways = (partial(_stream, maps, [head]), partial(_stream, [], [*maps, head]))
    with quiet():
        least = min(median(partial(seconds, way), runs) for way in ways)
        product = median(lambda: seconds(lambda: np.matmul(square, square, out=out)), runs)
    return Machine(sum(m.nbytes for m in (*maps, head)) / least, 2 * _SQUARE**3 / product)


def matrices(parameters: Parameters) -> list[Array]:
    """The matrices that each token is multiplied by, (in, out), the head last, (vocab, embd)."""
    maps = [
        m.weight
        for b in parameters.h
        for m in (b.attn.c_attn, b.attn.c_proj, b.mlp.c_fc, b.mlp.c_proj)
    ]
    return [*maps, parameters.lm_head.weight]


def flops(parameters: Parameters, config: Config, tokens: int) -> int:
    """Of all products over a prompt, the head's for its last token alone.

    Linear maps 2 n Σ in · out; the causal half of attention's two, 2 n (n + 1) embd a layer.
    """
    *maps, head = matrices(parameters)
    looks = 2 * tokens * (tokens + 1) * config.n_embd * config.n_layer
    return 2 * tokens * sum(m.size for m in maps) + looks + 2 * head.size


def median(measured: Callable[[], float], runs: int) -> float:
    """Of so many runs, after one that does not count."""
    measured()
    return statistics.median(measured() for _ in range(runs))


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _stream(left: Sequence[Array], right: Sequence[Array]) -> None:
    for matrix in left:
        np.ones(matrix.shape[0], matrix.dtype) @ matrix
    for matrix in right:
        matrix @ np.ones(matrix.shape[1], matrix.dtype)
