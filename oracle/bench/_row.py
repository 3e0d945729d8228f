"""What a row of the table is, and what its ratios and texts are made from."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

LENGTHS = (16, 128, 256, 512, 1024)  # of prompts
FITTED = (128, 256, 512, 1024)  # those from which the growth of a prompt's cost is read
CONTEXTS = (10, 64, 128, 256, 512, 768, 1000)
XL_MEMORY = 2_000_000_000  # bytes
_FIXED = 60_000_000  # bytes that memory may take beyond its share of the checkpoint


class Need(NamedTuple):
    """One thing to measure: a contestant, and a task that it knows."""

    contestant: str
    task: str


@dataclass(frozen=True)
class Row:
    """One line of the table.

    figure: from the values of `needs`, measured in one run, to the ratio; target: what its median
    must reach, or None where it is only shown; at_least: or at most; show: a value as text.
    """

    name: str
    does: str
    needs: tuple[Need, ...]
    figure: Callable[..., float]
    show: Callable[[float], str]
    target: float | None = None
    at_least: bool = True


def speedup(own: float, other: float) -> float:
    """How many times as fast."""
    return other / own


def share(own: float, other: float) -> float:
    """How many times as much."""
    return own / other


def share_beyond_fixed(peak: float, size: float) -> float:
    """How many times the checkpoint's size, 60 MB taken off first."""
    return (peak - _FIXED) / size


def prefill_exponent(*seconds: float) -> float:
    """The e of the n^e that fits the times of FITTED best, by least squares of logarithms.

    >>> round(prefill_exponent(*(n**1.5 for n in FITTED)), 3)
    1.5
    """
    x, y = [math.log(n) for n in FITTED], [math.log(s) for s in seconds]
    middle = sum(x) / len(x)
    return sum((a - middle) * b for a, b in zip(x, y, strict=True)) / sum(
        (a - middle) ** 2 for a in x
    )


def tenfold_exponent(whole: float, tenth: float) -> float:
    """The e of the n^e by which a cost grows, from that of a text and that of its first tenth."""
    return math.log10(whole / tenth)


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds."""
    return f"{1e3 * seconds:.4g} ms"


def megabytes(size: float) -> str:
    """Bytes as megabytes."""
    return f"{size / 1e6:.4g} MB"


def tokens_per_second(batch: int) -> Callable[[float], str]:
    """Seconds of a step of so many rows, as tokens per second."""
    return lambda seconds: f"{batch / seconds:.4g} tok/s"
