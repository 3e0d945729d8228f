"""The tasks of a contestant that generates text, made from its `generate` alone."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from oracle.bench._contest import Measured, Setup, Task
from oracle.bench._row import CONTEXTS, LENGTHS

Rows = Sequence[Sequence[int]]
NEW = 64
FEW = 32  # so that the context stays about the same
PROMPT = 64
BEAMS = 5
LONG = 900  # tokens of the prompt that beams share


class Generate(Protocol):
    """The public `generate`, greedy or with beams: the new tokens of each row."""

    def __call__(self, rows: Rows, new: int, *, beams: int = 1) -> Sequence[Sequence[int]]: ...


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and the result."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def decode(generate: Generate, rows: Rows, new: int) -> Measured:
    """Seconds of a step: those of `new` tokens beyond the first, which the prompt gives."""
    first, _ = timed(lambda: generate(rows, 1))
    whole, found = timed(lambda: generate(rows, new + 1))
    return Measured((whole - first) / new, [list(row) for row in found])


def whole(generate: Generate, rows: Rows, new: int, *, beams: int = 1) -> Measured:
    """Seconds of a whole call."""
    seconds, found = timed(lambda: generate(rows, new, beams=beams))
    return Measured(seconds, [list(row) for row in found])


def decoding_tasks(generate: Generate, setup: Setup, *, suffix: str = "") -> dict[str, Task]:
    """Decoding: of 1 and of 8 rows."""
    return {
        f"decode-{batch}{suffix}": functools.partial(
            decode, generate, [setup.prompt(PROMPT, row) for row in range(batch)], NEW
        )
        for batch in (1, 8)
    }


def curve_tasks(generate: Generate, setup: Setup) -> dict[str, Task]:
    """Reading prompts of several lengths, and decoding after several contexts."""
    prefills: dict[str, Task] = {
        f"prefill-{n}": functools.partial(whole, generate, [setup.prompt(n)], 1) for n in LENGTHS
    }
    contexts: dict[str, Task] = {
        f"context-{n}": functools.partial(decode, generate, [setup.prompt(n)], FEW)
        for n in CONTEXTS
    }
    return prefills | contexts


def beam_tasks(generate: Generate, setup: Setup) -> dict[str, Task]:
    """Beam search after a short prompt and a long one."""
    return {
        name: functools.partial(whole, generate, [setup.prompt(length)], NEW, beams=BEAMS)
        for name, length in (("beam-5", PROMPT), (f"beam-5-after-{LONG}", LONG))
    }
