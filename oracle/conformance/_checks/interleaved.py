"""Calls in turns: of two models of one shape, of short and long rows, of two cached texts.

What is remembered of a call (converted weights by shape or by identity, a buffer, a cache) must not
be in the next one's way. Each answer is held to its own reference.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from oracle.adapters.guard import Misbehaviour, apart
from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array
from oracle.conformance._border_examples import example_at
from oracle.conformance._check import MATCH, MISMATCH, Check, Finding
from oracle.conformance._checks.cache import CacheExample
from oracle.conformance._explore import current_seed
from oracle.conformance._model_examples import (
    RELEASED,
    ModelExample,
    claimed_examples,
    distance_of_logits,
    exact_in,
    judge_logits,
)
from oracle.conformance._places import place
from oracle.strategies._arrays import MAX_SEED
from oracle.strategies._tokens import build_batch, chunkings
from oracle.strategies._weights import Weights, build_weights

# Rows and tokens of calls of one model, in turn: buffers grow, shrink and grow again.
CALLS = ((1, 65), (9, 3), (2, 257), (1, 4), (33, 5), (1, 258), (1, 17))


@dataclass(frozen=True, eq=False)
class Turns:
    """Calls in their order. Each gets a dict of weights of its own, and it alone keeps that."""

    calls: tuple[ModelExample, ...]

    def ask(self, subject: Subject) -> list[Array]:
        """The subject's logits of each call."""
        return [
            replace(call, weights=Weights(call.weights, call.weights.recipe)).ask(subject)
            for call in self.calls
        ]


@dataclass(frozen=True, eq=False)
class CachedTurns:
    """Two texts of one model, and how many columns each call reads of either, in turns."""

    calls: tuple[ModelExample, ModelExample]
    chunks: tuple[int, ...]

    def ask(self, subject: Subject) -> list[Any]:
        """The subject's logits of either text, all chunks side by side."""
        texts = [CacheExample(call, self.chunks) for call in self.calls]
        # Both generators go on by a step before either takes the next.
        in_turns = list(zip(*(text.steps(subject) for text in texts), strict=True))
        return [text.joined([turn[i] for turn in in_turns]) for i, text in enumerate(texts)]


def turns_of_two_models(subject: Subject) -> "st.SearchStrategy[Turns] | None":
    """Two models of one shape, the same two batches for each. None where nothing is claimed."""
    ones = claimed_examples(subject, kinds=("trained",), layers=(1, 2, 3), **RELEASED)
    return None if ones is None else _two_models(ones, subject.dtype)


@st.composite
def _two_models(draw: st.DrawFn, ones: "st.SearchStrategy[ModelExample]", dtype: str) -> Turns:
    one = draw(ones)
    first, second = draw(st.integers(0, MAX_SEED)), draw(st.integers(0, MAX_SEED))
    weights = build_weights("trained", first, one.config)
    if dtype not in ("float32", "float64"):
        weights = exact_in(dtype, weights)
    again = _other_tokens(one, second)
    return Turns((one, replace(one, weights=weights), again, replace(again, weights=weights)))


def _other_tokens(example: ModelExample, seed: int) -> ModelExample:
    """The same model and shape, other tokens."""
    rows, width = example.batch.tokens.shape
    batch = build_batch("none", seed, [width] * rows, width, example.config["vocab_size"])
    return ModelExample(example.config, example.weights, batch)


def turns_of_one_model(subject: Subject) -> "st.SearchStrategy[Turns]":
    """Calls of one model, short and long, of one row and of many: CALLS."""
    longest = max(tokens for _, tokens in CALLS)
    spot = place("calls in turn", n_positions=longest).within(subject.claims)
    return st.just(spot).map(lambda where: _calls(where, subject, current_seed()))


def _calls(where: Any, subject: Subject, seed: int) -> Turns:
    one = example_at(where, subject.dtype, seed)
    calls = []
    for index, (rows, tokens) in enumerate(CALLS):
        shape = subject.claims.rows(rows), min(tokens, one.config["n_positions"])
        lengths = [shape[1]] * shape[0]
        batch = build_batch("none", seed + index, lengths, shape[1], one.config["vocab_size"])
        calls.append(ModelExample(one.config, one.weights, batch))
    return Turns(tuple(calls))


def cached_turns(subject: Subject) -> "st.SearchStrategy[CachedTurns] | None":
    """Two texts of one model, equally long. None where nothing is claimed."""
    ones = claimed_examples(subject, kinds=("trained",), layers=(1, 2), **RELEASED)
    return None if ones is None else _two_texts(ones)


@st.composite
def _two_texts(draw: st.DrawFn, ones: "st.SearchStrategy[ModelExample]") -> CachedTurns:
    one = draw(ones)
    other = _other_tokens(one, draw(st.integers(0, MAX_SEED)))
    return CachedTurns((one, other), draw(chunkings(one.batch.tokens.shape[1])))


def _judge(dtype: str, turns: Turns | CachedTurns, answer: Any) -> Finding:
    if isinstance(answer, Misbehaviour):
        return Finding(MISMATCH, math.inf, answer.says)
    findings = [judge_logits(dtype, *pair) for pair in zip(turns.calls, answer, strict=True)]
    for index, finding in enumerate(findings, 1):
        if finding.verdict != MATCH:
            says = f"in call {index} of {len(findings)} in turns, {finding.says}"
            return replace(finding, says=says)
    return Finding(MATCH, max(finding.error for finding in findings))


def _distance(dtype: str, turns: Turns | CachedTurns, one: Any, other: Any) -> float:
    if isinstance(one, Misbehaviour) or isinstance(other, Misbehaviour):
        return apart(one, other)
    calls: Sequence[ModelExample] = turns.calls
    return max(distance_of_logits(dtype, *triple) for triple in zip(calls, one, other, strict=True))


CHECKS = (
    Check(
        "model/interleaved",
        "two models of one shape in turns",
        "logits",
        turns_of_two_models,
        lambda subject, turns: turns.ask(subject),
        _judge,
        _distance,
        20,
    ),
    Check(
        "model/calls in turn",
        "short and long rows, few and many, in turns",
        "logits",
        turns_of_one_model,
        lambda subject, turns: turns.ask(subject),
        _judge,
        _distance,
        1,
        "borders",
    ),
    Check(
        "cache/interleaved",
        "two texts in turns, each with a cache of its own",
        "step",
        cached_turns,
        lambda subject, turns: turns.ask(subject),
        _judge,
        _distance,
        20,
    ),
)
