"""Checks of cached steps: the model in pieces gives what it gives at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracle.adapters.subject import Subject
from oracle.conformance import _places as places
from oracle.conformance._border_examples import example_at
from oracle.conformance._check import Check, Finding
from oracle.conformance._explore import current_seed
from oracle.conformance._model_examples import (
    RELEASED,
    ModelExample,
    claimed_examples,
    distance_of_logits,
    judge_flags,
    judge_logits,
)
from oracle.conformance._places import Steps, claimed_steps
from oracle.strategies._tokens import PADDINGS, chunkings


@dataclass(frozen=True, eq=False)
class CacheExample:
    """A model example, and how many columns of its batch each call reads."""

    whole: ModelExample
    chunks: tuple[int, ...]

    def ask(self, subject: Subject) -> Any:
        """The subject's logits of all chunks, side by side."""
        return self.joined(list(self.steps(subject)))

    def steps(self, subject: Subject) -> Iterator[Any]:
        """The subject's logits of one chunk after the other."""
        batch, cache, end = self.whole.batch, None, 0
        for size in self.chunks:
            start, end = end, end + size
            logits, cache = subject.step(  # type: ignore[misc]
                self.whole.config,
                self.whole.weights,
                batch.tokens[:, start:end],
                batch.mask[:, :end] if subject.claims.mask else None,
                cache,
            )
            yield logits

    @staticmethod
    def joined(parts: Sequence[Any]) -> Any:
        """Logits of chunks, side by side."""
        try:
            return np.concatenate(parts, axis=1)
        except ValueError:
            return parts  # arrays that do not fit each other: the judge says so


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


def steps_at(steps: Sequence[Steps], subject: Subject) -> "st.SearchStrategy[CacheExample] | None":
    """The examples of `examples_at`, in those chunks; None where none is claimed.

    What stands at a place is what the checks of the whole ask there: it has one reference.
    """
    fitting, dtype = claimed_steps(steps, subject.claims), subject.dtype
    if not fitting:
        return None
    return st.sampled_from(fitting).map(
        lambda step: CacheExample(example_at(step[0], dtype, current_seed()), step[1])
    )


def _judge(dtype: str, example: CacheExample, answer: Any) -> Finding:
    return judge_logits(dtype, example.whole, answer)


def _judge_flags(dtype: str, example: CacheExample, answer: Any) -> Finding:
    return judge_flags(dtype, example.whole, answer)


def _distance(dtype: str, example: CacheExample, one: Any, other: Any) -> float:
    return distance_of_logits(dtype, example.whole, one, other)


def _check(
    name: str,
    asks: str,
    examples: Callable[[Subject], "st.SearchStrategy[CacheExample] | None"],
    judge: Callable[[str, CacheExample, Any], Finding] = _judge,
    count: int = 60,
    size: str = "toy",
) -> Check:
    return Check(
        f"cache/{name}",
        asks,
        "step",
        examples,
        lambda subject, example: example.ask(subject),
        judge,
        _distance,
        count,
        size,
    )


def _border_check(name: str, asks: str, steps: Sequence[Steps], size: str = "borders") -> Check:
    def examples(subject: Subject) -> "st.SearchStrategy[CacheExample] | None":
        return steps_at(steps, subject)

    return _check(name, asks, examples, count=len(steps), size=size)


CHECKS = (
    _check(
        "one by one",
        "a token at a time, unpadded",
        lambda subject: cache_examples(subject, single=True, **RELEASED),
    ),
    _check(
        "in pieces",
        "several tokens at a time, unpadded",
        lambda subject: cache_examples(subject, single=False, **RELEASED),
    ),
    # Apart, since who has the released models' switches alone refuses nearly all of these.
    _check(
        "flags",
        "in pieces, under every switch of the configuration",
        lambda subject: cache_examples(subject, single=False),
        _judge_flags,
    ),
    _check(
        "padding",
        "in pieces, rows padded anywhere",
        lambda subject: cache_examples(
            subject, single=False, paddings=PADDINGS[1:], positions=range(5, 11), **RELEASED
        ),
    ),
    _border_check("long", "steps that cross 16 to 1024 tokens, and long chunks", places.STEPS),
    _border_check("wide", "steps of wide, deep and many-headed models", places.WIDE_STEPS),
    _border_check("long padding", "steps of padded rows across borders", places.GAPPED_STEPS),
    _border_check("gpt2", "GPT-2 small's shape, the last tokens", places.GPT2_STEPS, "gpt2"),
)
