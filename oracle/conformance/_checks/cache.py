"""Checks of cached steps: the model in pieces gives what it gives at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracle.adapters.subject import Subject
from oracle.conformance._check import Check, Finding
from oracle.conformance._model_examples import (
    RELEASED,
    ModelExample,
    claimed_examples,
    distance_of_logits,
    judge_logits,
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
                batch.mask[:, :end] if subject.claims.mask else None,
                cache,
            )
            found.append(logits)
        try:
            return np.concatenate(found, axis=1)
        except ValueError:
            return found  # arrays that do not fit each other: the judge says so


def cache_examples(
    subject: Subject, *, single: bool, **drawn: Any
) -> "st.SearchStrategy[CacheExample] | None":
    """Model examples in chunks of any sizes, or of one token each with `single`.

    They have a layer at least: without one there is nothing to keep. None where none is claimed.
    """
    wholes = claimed_examples(subject, kinds=("trained",), layers=(1, 2, 3), **drawn)
    return None if wholes is None else _in_chunks(wholes, single=single)


@st.composite
def _in_chunks(
    draw: st.DrawFn, wholes: "st.SearchStrategy[ModelExample]", *, single: bool
) -> CacheExample:
    whole = draw(wholes)
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
        lambda subject: cache_examples(subject, **drawn),
        lambda subject, example: example.ask(subject),
        _judge,
        _distance,
        60,
    )


CHECKS = (
    _check("one by one", "a token at a time, unpadded", single=True, **RELEASED),
    _check("in pieces", "several tokens at a time, unpadded", single=False, **RELEASED),
    # Apart, since who has the released models' switches alone refuses nearly all of these.
    _check("flags", "in pieces, under every switch of the configuration", single=False),
    _check(
        "padding",
        "in pieces, rows padded anywhere",
        single=False,
        paddings=PADDINGS[1:],
        positions=range(5, 11),
        **RELEASED,
    ),
)
