"""Checks of cached steps: the model in pieces gives what it gives at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracle.adapters.subject import Subject
from oracle.conformance._check import Check, Finding
from oracle.conformance._model_examples import (
    ModelExample,
    distance_of_logits,
    judge_logits,
    model_examples,
)
from oracle.strategies._tokens import PADDINGS, chunkings


@dataclass(frozen=True, eq=False)
class CacheExample:
    """A model example, and how many columns of its batch each call reads."""

    whole: ModelExample
    chunks: tuple[int, ...]

    def ask(self, subject: Subject) -> Any:
        """The subject's logits of all chunks, side by side."""
        batch, cache, end, found = self.whole.batch, None, 0, []
        for size in self.chunks:
            start, end = end, end + size
            logits, cache = subject.step(
                self.whole.config,
                self.whole.weights,
                batch.tokens[:, start:end],
                batch.mask[:, :end],
                cache,
            )
            found.append(logits)
        try:
            return np.concatenate(found, axis=1)
        except ValueError:
            return found  # arrays that do not fit each other: the judge says so


@st.composite
def cache_examples(draw: st.DrawFn, dtype: str, *, single: bool, **drawn: Any) -> CacheExample:
    """Model examples in chunks of any sizes, or of one token each with `single`.

    They have a layer at least: without one there is nothing to keep.
    """
    whole = draw(model_examples(dtype, kinds=("trained",), layers=(1, 2, 3), **drawn))
    width = whole.batch.tokens.shape[1]
    return CacheExample(whole, (1,) * width if single else draw(chunkings(width)))


def _judge(dtype: str, example: CacheExample, answer: Any) -> Finding:
    return judge_logits(dtype, example.whole, answer)


def _distance(dtype: str, example: CacheExample, one: Any, other: Any) -> float:
    return distance_of_logits(dtype, example.whole, one, other)


def _check(name: str, asks: str, **drawn: Any) -> Check:
    return Check(
        f"cache/{name}",
        asks,
        "step",
        lambda subject: cache_examples(subject.dtype, **drawn),
        lambda subject, example: example.ask(subject),
        _judge,
        _distance,
        60,
    )


CHECKS = (
    _check("one by one", "a token at a time, unpadded", single=True),
    _check("in pieces", "several tokens at a time, unpadded", single=False),
    _check(
        "padding",
        "in pieces, rows padded anywhere",
        single=False,
        paddings=PADDINGS[1:],
        positions=range(5, 11),
    ),
)
