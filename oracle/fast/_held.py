"""What a model has read, held on the device in place; and a step over it, as a CUDA graph there.

The state of `oracle.fast._inference`, which checks all that comes here, and says why it is so.
"""

import torch
from torch import Tensor

from oracle.fast._laid_out import LaidOut, logits, new_cache, residual
from oracle.ops._attention import causal_mask

BUCKET = 256  # columns; how finely the length of a static step is graded
ALIGNED = 8  # columns; fused attention on a GPU copies a mask of any other width
WARM_UPS = 3  # before a capture, so that every library has set itself up


class Held:
    """Keys and values of up to `length` columns of `batch` rows, and what goes with them.

    tokens: (batch,), what a step reads, and in their place the likeliest after it. logits: (batch,
    vocab), what it leaves. count: (batch,), the real tokens so far, which is the next position.
    Without asking the device, the host knows: used, the columns so far; most, no fewer than the
    largest count; padded, whether any column of any row is not real.
    """

    def __init__(self, laid: LaidOut, *, batch: int, length: int, static: bool) -> None:
        columns = _rounded_up(length, ALIGNED)
        self.laid, self.device, self.static = laid, laid.wte.device, static
        self.cache = new_cache(laid, batch=batch, columns=columns)
        self.real = torch.zeros(batch, columns, dtype=torch.bool, device=self.device)
        self.at = torch.zeros(1, dtype=torch.int64, device=self.device)  # the next column
        self.count = torch.zeros(batch, dtype=torch.int64, device=self.device)
        self.tokens = torch.zeros_like(self.count)
        self.logits = laid.wte.new_zeros(batch, laid.wte.shape[0])
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.used, self.most, self.padded = 0, 0, False

    def forget(self) -> None:
        """Hold nothing."""
        self.used, self.most, self.padded = 0, 0, False
        self.real.fill_(False)
        if self.static:  # reads beyond what is written, where an infinity would become NaN
            self.cache.zero_()

    def read(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Put columns (batch, query) after those in use; their residual stream, (…, embd)."""
        start, end = self.used, self.used + tokens.shape[1]
        self.real[:, start:end] = True if mask is None else mask
        real = self.real[:, :end]
        positions = (real.cumsum(1) - 1).clamp(min=0)[:, start:]
        self.used, self.padded = end, self.padded or mask is not None
        self.at.fill_(end)
        self.count.copy_(real.sum(1))
        self.most = end if tokens.is_meta else int(self.count.max())
        look = None
        if start or self.padded or self.laid.upcast:
            look = causal_mask(tokens.shape[1], end, device=self.device) & real[:, None]
            # Padding that sees nothing is shown all: nobody reads what comes, if it is finite.
            look = (look | ~look.any(-1, keepdim=True))[:, None]
        at = torch.arange(start, end, device=self.device)
        return residual(self.laid, self.cache, tokens, positions, at=at, end=end, look=look)

    def select(self, rows: Tensor) -> None:
        """Row i becomes what row rows[i] is; rows (batch,)."""
        for parts in self.cache[..., : self.used, :]:
            parts.copy_(parts.index_select(1, rows))
        for each in (self.real, self.count):
            each.copy_(each.index_select(0, rows))

    def advance(self) -> None:
        """A step."""
        end = self.used + 1
        if self.static:
            end = min(_rounded_up(end, BUCKET), self.real.shape[1])
        if self.static and self.device.type == "cuda":
            with torch.cuda.device(self.device):
                if end not in self.graphs:
                    self.graphs[end] = self._captured(end)
                self.graphs[end].replay()
        else:
            self._step(end)
        self.used, self.most = self.used + 1, self.most + 1

    def _step(self, end: int) -> None:
        """All that a step does on the device, over the first `end` columns."""
        self.real.index_fill_(1, self.at, True)
        masked = self.static or self.padded or self.laid.upcast
        x = residual(
            self.laid,
            self.cache,
            self.tokens[:, None],
            self.count[:, None],
            at=self.at,
            end=end,
            look=self.real[:, None, None, :end] if masked else None,
        )
        self.logits.copy_(logits(self.laid, x[:, 0]))
        self.tokens.copy_(self.logits.argmax(1))
        self.at.add_(1)
        self.count.add_(1)

    def _captured(self, end: int) -> torch.cuda.CUDAGraph:
        """`_step` as a graph. Warming up changes what is held, which is put back each time."""
        changed = (self.tokens, self.at, self.count, self.real)
        before = [tensor.clone() for tensor in changed]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._step(end)
                for tensor, value in zip(changed, before, strict=True):
                    tensor.copy_(value)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(end)
        return graph


def _rounded_up(count: int, to: int) -> int:
    return -(-count // to) * to
