"""What the machine itself can do, through NumPy's matrix products: the time of bare work."""

import functools
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from oracle.bench._contest import Contestant, Measured, Setup, Task
from oracle.bench._row import CONTEXTS, LENGTHS, XL_MEMORY
from oracle.bench._sizes import flops, matrices
from oracle.bench._tasks import timed

_TIMES = 5  # how often a product is timed within a run; the median counts


def contestant(setup: Setup) -> Contestant:
    """decode, context: the matrices of one token, streamed through matrix-vector products, in the
    quicker of the two layouts. prefill: its arithmetic at the rate of one large product. memory:
    the bytes of the float32 checkpoint.
    """
    streams = functools.cache(lambda: _streams([*matrices(setup.shape), _head(setup)]))
    square = functools.cache(lambda: _square(setup.shape.square))

    def decode() -> Measured:
        return Measured(min(_seconds(stream) for stream in streams()))

    def prefill(tokens: int) -> Measured:
        rate = 2 * setup.shape.square**3 / _seconds(square())
        return Measured(flops(setup.shape, tokens) / rate)

    def size() -> Measured:
        return Measured((setup.weights() / "model.safetensors").stat().st_size)

    tasks: dict[str, Task] = {
        "decode-1": decode,
        **{f"context-{n}": decode for n in CONTEXTS},
        **{f"prefill-{n}": functools.partial(prefill, n) for n in LENGTHS},
        "memory": size,
        "xl-memory": lambda: Measured(XL_MEMORY),
    }
    return Contestant(f"the machine, through NumPy {np.__version__}", tasks)


def _head(setup: Setup) -> tuple[int, int]:
    return setup.shape.embd, setup.shape.vocab


def _seconds(work: Callable[[], object]) -> float:
    return statistics.median(timed(work)[0] for _ in range(_TIMES))


def _streams(shapes: Sequence[tuple[int, int]]) -> list[Callable[[], object]]:
    """Products of a vector with every matrix: stored as (in, out), and stored as (out, in)."""
    rng = np.random.default_rng(0)
    as_rows = [rng.random(shape, np.float32) for shape in shapes]
    as_columns = [matrix.reshape(matrix.shape[::-1]) for matrix in as_rows]
    vectors = [np.ones(rows, np.float32) for rows, _ in shapes]
    outs = [np.empty(columns, np.float32) for _, columns in shapes]

    def rows() -> None:
        for matrix, vector, out in zip(as_rows, vectors, outs, strict=True):
            np.matmul(vector, matrix, out=out)

    def columns() -> None:
        for matrix, vector, out in zip(as_columns, vectors, outs, strict=True):
            np.matmul(matrix, vector, out=out)

    return [rows, columns]


def _square(side: int) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    one, other = (rng.random((side, side), np.float32) for _ in range(2))
    out = np.empty_like(one)
    return lambda: np.matmul(one, other, out=out)
