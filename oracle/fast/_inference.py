"""GPT-2 in PyTorch made fast: room for keys and values taken once, steps as CUDA graphs on a GPU.

The same model as `oracle.model`, without taps and gradients. What it does for speed:

- The weights are moved and cast once, and laid out as a product streams them (`laid_out.py`).
- Keys and values are written in place, into a cache of `length` columns (`held.py`).
- On a GPU a step has static shapes, and reads all that changes (its tokens, the column they go to,
  their positions, which columns are real) from tensors that stay where they are. So it is captured
  once as a CUDA graph and replayed. Attention runs over a multiple of `held.BUCKET` columns, those
  not yet written masked, and each multiple has its own graph: one graph for all lengths would read
  the whole cache at each step, and a graph for each length would be captured at each step.
- On the CPU, where there is no launch to save, a step reads just the columns that are written.

TF32 is used only where torch.backends.cuda.matmul.allow_tf32 is set, which is not the default.
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from oracle import model
from oracle.fast._held import Held
from oracle.fast._laid_out import lay_out, logits

Ids: TypeAlias = Tensor | Sequence[int] | Sequence[Sequence[int]]
Mask: TypeAlias = Tensor | Sequence[Sequence[bool]] | None


class Inference:
    """GPT-2 over `batch` rows, holding up to `length` columns of tokens, padding included.

    tensors and config are named as in Hugging Face's checkpoints; all of config is honoured. A
    tensor that is on the device already, in the dtype and layout needed, is not copied: leave it as
    it is. static: whether the shapes of a step stay the same, by default on CUDA, where such steps
    are replayed as graphs. Tokens and masks may be lists; what is returned is a new tensor on the
    device. Every error is a ValueError, and leaves what is held as it was.

    >>> tiny = {"vocab_size": 3, "n_positions": 4, "n_embd": 8, "n_layer": 1, "n_head": 2}
    >>> weights = {name: torch.zeros(shape) for name, shape in model.shapes(tiny).items()}
    >>> inference = Inference(weights, tiny, batch=2, length=4)
    >>> inference.prefill([[1, 2], [0, 1]]).shape, inference.step([0, 2]).shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    >>> inference.generate([[1], [2]], 3).tolist()
    [[0, 0, 0], [0, 0, 0]]
    """

    def __init__(
        self,
        tensors: model.Weights,
        config: model.Config,
        *,
        batch: int,
        length: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        static: bool | None = None,
    ) -> None:
        for name, size in (("batch", batch), ("length", length)):
            if size < 1:
                raise ValueError(f"{name} is {size}; expected 1 or more")
        self.batch, self.length = batch, length
        self._laid = lay_out(tensors, config, dtype=dtype, device=device)
        self._vocab, self._positions = len(self._laid.wte), len(self._laid.wpe)
        self.device = self._laid.wte.device
        static = self.device.type == "cuda" if static is None else static
        self._held = Held(self._laid, batch=batch, length=length, static=static)

    @torch.no_grad()
    def prefill(self, tokens: Ids, mask: Mask = None) -> Tensor:
        """Forget all and read a prompt (batch, query): logits (batch, vocab) after each row.

        mask: bool (batch, query), True where a token is real; padding may be anywhere, and the
        logits are those at a row's last real token. Raises ValueError for an id that the vocabulary
        lacks, for more tokens than columns or positions, for a row without a real token, and for
        shapes that do not fit.
        """
        return self._prefilled(tokens, mask, more=0)

    @torch.no_grad()
    def extend(self, tokens: Ids, mask: Mask = None) -> Tensor:
        """Read columns (batch, query) after what is held, if anything: logits at all of them.

        They are (batch, query, vocab), and mean nothing at padding. Raises as `prefill`, but takes
        rows without a real token.
        """
        return logits(self._laid, self._held.read(*self._checked(tokens, mask)))

    @torch.no_grad()
    def step(self, tokens: Ids) -> Tensor:
        """Read one more token of each row (batch,), all real: logits (batch, vocab) after it.

        Raises ValueError where nothing is held yet, where cache or positions are used up, for
        another shape, and for an unknown id; on a GPU, where to look at the id would be to wait for
        it, that fails in a kernel.
        """
        tokens = self._row_of("tokens", tokens, below=self._vocab)
        self._check_begun("step")
        self._check_room()
        self._held.tokens.copy_(tokens)
        self._held.advance()
        return self._held.logits.clone()

    @torch.no_grad()
    def select(self, rows: Ids) -> None:
        """Let row i become what row rows[i] is: reorders, repeats and drops rows, as beams do.

        Raises ValueError where nothing is held yet, for other than `batch` rows, and, as `step`
        does, for a row that there is not.
        """
        rows = self._row_of("rows", rows, below=self.batch)
        self._check_begun("select")
        self._held.select(rows)

    @torch.no_grad()
    def generate(self, tokens: Ids, max_new_tokens: int, mask: Mask = None) -> Tensor:
        """The greedy continuation (batch, max_new_tokens) of a prompt, given as to `prefill`.

        The lowest id among equals. From the first new token to the last the host waits for nothing
        from the device, but to capture a graph where there is none yet. Raises as `prefill`, and
        where there is no room for what is to come.
        """
        if max_new_tokens < 0:
            raise ValueError(f"max_new_tokens is {max_new_tokens}; expected 0 or more")
        more = max(0, max_new_tokens - 1)  # the last one is not read
        held = self._held
        held.tokens.copy_(self._prefilled(tokens, mask, more=more).argmax(1))
        found = held.tokens.new_empty(self.batch, max_new_tokens)
        for i in range(max_new_tokens):
            found[:, i] = held.tokens
            if i < more:
                held.advance()
        return found

    def _prefilled(self, tokens: Ids, mask: Mask, *, more: int) -> Tensor:
        tokens, mask = self._checked(tokens, mask, anew=True, more=more)
        if mask is None:
            self._held.forget()
            return logits(self._laid, self._held.read(tokens, None)[:, -1])
        columns = torch.arange(tokens.shape[1], device=self.device)
        last = torch.where(mask, columns, -1).amax(1)
        if not tokens.is_meta and -1 in (ends := last.tolist()):
            raise ValueError(f"row {ends.index(-1)} has no real token; expected one or more")
        self._held.forget()
        x = self._held.read(tokens, mask)
        return logits(self._laid, x.take_along_dim(last[:, None, None], 1)[:, 0])

    def _checked(
        self, tokens: Ids, mask: Mask, *, anew: bool = False, more: int = 0
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens and mask on the device, the mask None where all is real, if there is room."""
        tokens = self._ids("tokens", tokens)
        if tokens.ndim != 2 or tokens.shape[0] != self.batch or not tokens.shape[1]:
            raise ValueError(
                f"tokens have shape {tuple(tokens.shape)}; expected ({self.batch}, query)"
            )
        if mask is not None:
            mask = torch.as_tensor(mask, device=self.device)
            if mask.shape != tokens.shape or mask.dtype != torch.bool:
                raise ValueError(
                    f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; "
                    f"expected that of tokens, {tuple(tokens.shape)}, and torch.bool"
                )
        self._check_columns((0 if anew else self._held.used) + tokens.shape[1] + more)
        if tokens.is_meta:
            return tokens, mask
        _check_below("tokens", tokens, self._vocab)
        old = torch.zeros_like(self._held.count) if anew else self._held.count
        self._check_positions(
            int((old + (tokens.shape[1] if mask is None else mask.sum(1))).max()) + more
        )
        return tokens, None if mask is None or bool(mask.all()) else mask

    def _ids(self, name: str, given: Ids) -> Tensor:
        ids = torch.as_tensor(given, device=self.device)
        if ids.is_floating_point() or ids.dtype == torch.bool:
            raise ValueError(f"{name} have dtype {ids.dtype}; expected integers")
        return ids.long()

    def _row_of(self, name: str, given: Ids, *, below: int) -> Tensor:
        ids = self._ids(name, given)
        if ids.shape != (self.batch,):
            raise ValueError(f"{name} have shape {tuple(ids.shape)}; expected ({self.batch},)")
        if self.device.type == "cpu":
            _check_below(name, ids, below)
        return ids

    def _check_begun(self, wish: str) -> None:
        if not self._held.used:
            raise ValueError(f"{wish} came before any prompt; call prefill first")

    def _check_room(self) -> None:
        held = self._held
        self._check_columns(held.used + 1)
        if held.most >= self._positions and not held.count.is_meta:
            held.most = int(held.count.max())  # the row that had as many may have been dropped
            self._check_positions(held.most + 1)

    def _check_columns(self, wanted: int) -> None:
        if wanted > self.length:
            raise ValueError(
                f"{wanted} columns are more than length = {self.length}, which the cache holds; "
                "make it longer, or read less"
            )

    def _check_positions(self, wanted: int) -> None:
        if wanted > self._positions:
            raise ValueError(
                f"position {wanted - 1} is outside 0..{self._positions - 1}; "
                f"give at most n_positions = {self._positions} tokens"
            )


def _check_below(name: str, ids: Tensor, limit: int) -> None:
    low, high = (int(i) for i in ids.aminmax())
    if low < 0 or high >= limit:
        raise ValueError(f"{low if low < 0 else high} in {name} is outside 0..{limit - 1}")
