"""What a GPU's memory can do: the time to move the weights of one token at its copy bandwidth."""

import functools
import statistics

import torch

from oracle.bench._contest import Contestant, Measured, Setup, Task
from oracle.bench._row import CONTEXTS
from oracle.bench._sizes import weights_streamed
from oracle.bench._tasks import timed

_BYTES = 1 << 30
_TIMES = 20


def contestant(setup: Setup) -> Contestant:
    """Copying a buffer reads each byte and writes it; a decode step only reads."""

    @functools.cache
    def buffers() -> tuple[torch.Tensor, torch.Tensor]:
        source = torch.zeros(_BYTES, dtype=torch.uint8, device=setup.device)
        return source, torch.empty_like(source)

    def copy() -> None:
        source, sink = buffers()
        sink.copy_(source)
        torch.cuda.synchronize()

    def move(itemsize: int) -> Measured:
        copy()
        seconds = statistics.median(timed(copy)[0] for _ in range(_TIMES))
        return Measured(weights_streamed(setup.shape) * itemsize * seconds / (2 * _BYTES))

    kinds = {"float32": 4, "bfloat16": 2}
    tasks: dict[str, Task] = {
        f"decode-{batch}-{kind}": functools.partial(move, itemsize)
        for kind, itemsize in kinds.items()
        for batch in (1, 8)
    }
    tasks |= {f"context-{n}": functools.partial(move, kinds["bfloat16"]) for n in CONTEXTS}
    return Contestant(torch.cuda.get_device_name(), tasks)
