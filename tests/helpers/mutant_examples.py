"""Whole-model examples, and how far the oracle, with a mutant in it or not, is off on them."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from oracle import model
from oracle.bounds._compare import excess
from oracle.bounds._noise import noise_floor
from oracle.conformance._explore import collect
from oracle.conformance._model_examples import exact_in
from oracle.strategies._configs import configs
from oracle.strategies._tokens import Batch, batches, chunkings
from oracle.strategies._weights import KINDS, Weights, weights
from tests.helpers.device import DEVICE


@dataclass(frozen=True, eq=False)
class Example:
    """A model, a batch, and how many columns each call reads; kind: of its weights."""

    config: dict[str, Any]
    weights: Weights
    batch: Batch
    chunks: tuple[int, ...]
    kind: str

    @cache  # noqa: B019
    def reference(self, dtype):
        return noise_floor(
            self.weights, self.config, self.batch.tokens, self.batch.mask, dtype=dtype
        )

    def logits(self, dtype, *, cached=False):
        tensors = {
            name: torch.from_numpy(array.copy()).to(DEVICE, getattr(torch, dtype))
            for name, array in self.weights.items()
        }
        tokens, mask = (
            torch.from_numpy(array).to(DEVICE) for array in (self.batch.tokens, self.batch.mask)
        )
        found, past, end = [], None, 0
        with torch.no_grad():
            for size in self.chunks if cached else (tokens.shape[1],):
                start, end = end, end + size
                output = model.forward(
                    tensors, self.config, tokens[:, start:end], mask=mask[:, start:end], past=past
                )
                found.append(output.logits)
                past = output.past
        return torch.cat(found, 1).double().cpu().numpy()

    def error(self, dtype, *, cached=False):
        """In units of what rounding may do; infinite for no logits, or logits of another shape."""
        reference, allowed = self.reference(dtype)
        real = self.batch.mask
        try:
            found = self.logits(dtype, cached=cached)
        except (ValueError, RuntimeError):
            return math.inf
        if found.shape != reference.shape:
            return math.inf
        return excess(found[real], reference[real], np.broadcast_to(allowed, found.shape)[real])


@st.composite
def examples(draw, *, kinds=tuple(KINDS), cut=False, dtype="float32", **fields):
    """Examples, of several calls each with `cut`; their weights are exact in `dtype`."""
    config = draw(configs(**fields))
    kind = draw(st.sampled_from(kinds))
    drawn = draw(weights(config, kinds=[kind]))
    if dtype not in ("float32", "float64"):
        drawn = exact_in(dtype, drawn)
    batch = draw(batches(config, paddings=("none", "left", "anywhere")))
    width = batch.tokens.shape[1]
    return Example(config, drawn, batch, draw(chunkings(width)) if cut else (width,), kind)


@cache
def some_examples(count, **drawn):
    """The first `count` of `examples(**drawn)`, the same on every run."""
    return collect(examples(**drawn), count)


def shows(mutant, among, *, cached=False):
    """Whether the mutant is off on any of the examples by more than rounding may be."""
    dtype = "float32" if "float32" in mutant.dtypes else mutant.dtypes[0]
    for example in among:
        example.reference(dtype)  # before the bug is in
        with mutant.applied():
            error = example.error(dtype, cached=cached)
        if error > 1:
            return True
    return False
