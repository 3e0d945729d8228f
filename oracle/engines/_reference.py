"""Reference of a checkpoint: the oracle's numbers for rows of tokens, and their noise floors."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from oracle import model
from oracle.bounds._noise import FACTOR, measure
from oracle.bounds._rounding import Array
from oracle.checkpoints import ModelFiles
from oracle.conformance._model_examples import in_dtype
from oracle.fast import Inference

ROWS_KEPT = 256


@dataclass(frozen=True)
class Row:
    """Logits (query, vocab) of one row in float64, and the noise floor of any of them."""

    logits: Array
    floor: float

    @property
    def allowed(self) -> float:
        """How far off a logit may be."""
        return FACTOR * self.floor

    @property
    def allowed_log_probability(self) -> float:
        """How far off a log-probability may be: twice a logit, since log Σ exp moves as far."""
        return 2 * self.allowed

    @cached_property
    def log_probabilities(self) -> Array:
        """(query, vocab)."""
        shifted = self.logits - self.logits.max(-1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


class Reference:
    """The oracle on a checkpoint, for an engine that computes in `dtype`.

    Weights are rounded to dtype where it is narrower than float32: an engine that computes in it
    holds no others.
    """

    def __init__(self, files: ModelFiles, dtype: str = "float32") -> None:
        self.files = files
        self.dtype = dtype
        narrow = dtype not in ("float32", "float64")
        self.weights = {
            name: in_dtype(dtype, array) if narrow else array
            for name, array in files.weights.items()
        }
        self.rows: dict[tuple[int, ...], Row] = {}
        self.next_logits: dict[tuple[int, ...], Array] = {}

    @property
    def vocab_size(self) -> int:
        """How many tokens there are."""
        return int(self.files.config["vocab_size"])

    @property
    def n_positions(self) -> int:
        """How many tokens a row may have."""
        return int(self.files.config["n_positions"])

    def row(self, tokens: Sequence[int]) -> Row:
        """What the oracle has for one row."""
        key = tuple(map(int, tokens))
        if key not in self.rows:
            if len(self.rows) >= ROWS_KEPT:
                del self.rows[next(iter(self.rows))]
            measured = measure(self.weights, self.files.config, np.array(key), dtype=self.dtype)
            self.rows[key] = Row(measured.logits, measured.floors["logits", None])
        return self.rows[key]

    def after(self, tokens: Sequence[int]) -> Array:
        """Logits (vocab,) in float64 of what follows a row: `row` without its noise floor."""
        key = tuple(map(int, tokens))
        if key not in self.next_logits:
            with torch.no_grad():
                row = torch.tensor([key])
                logits = model.logits(self._tensors, self.files.config, row)
            self.next_logits[key] = logits[0, -1].numpy()
        return self.next_logits[key]

    @cached_property
    def _tensors(self) -> dict[str, torch.Tensor]:
        return {
            name: torch.from_numpy(np.array(array)).double() for name, array in self.weights.items()
        }

    def sampled(self, starts: Sequence[int], length: int, *, seed: int) -> list[list[int]]:
        """A row of `length` tokens after each start, drawn at temperature 1."""
        tensors = {name: torch.from_numpy(np.array(a)) for name, a in self.weights.items()}
        inference = Inference(tensors, self.files.config, batch=len(starts), length=length)
        rng = np.random.default_rng(seed)
        rows = [[int(start)] for start in starts]
        logits = inference.prefill([[int(start)] for start in starts])
        while len(rows[0]) < length:
            parts = torch.softmax(logits.double(), -1).numpy()
            chosen = [int(rng.choice(len(p), p=p / p.sum())) for p in parts]
            for row, token in zip(rows, chosen, strict=True):
                row.append(token)
            if len(rows[0]) < length:
                logits = inference.step(chosen)
        return rows
