"""The same call again gives the same: no dropout, nothing left over from another call."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracle.adapters.guard import Misbehaviour
from oracle.adapters.subject import Subject
from oracle.bounds._compare import excess
from oracle.bounds._rounding import Array
from oracle.conformance._check import MATCH, MISMATCH, Check, Finding
from oracle.conformance._model_examples import (
    RELEASED,
    ModelExample,
    claimed_examples,
    not_logits,
    refused_flag,
)


def _ask_twice(subject: Subject, pair: tuple[ModelExample, ModelExample]) -> list[Array]:
    one, between = pair
    return [example.ask(subject) for example in (one, between, one)]


def _judge_twice(dtype: str, pair: tuple[ModelExample, ModelExample], answer: Any) -> Finding:
    if refused := refused_flag(answer, *pair):
        return refused
    if isinstance(answer, Misbehaviour):
        return Finding(MISMATCH, math.inf, answer.says)
    if wrong := not_logits(pair[0], answer[0]) or not_logits(pair[0], answer[2]):
        return Finding(MISMATCH, math.inf, wrong)
    _, allowed = pair[0].reference(dtype)
    real = pair[0].batch.mask
    most = np.broadcast_to(allowed, answer[0].shape)[real]
    error = excess(answer[0][real], answer[2][real], most)
    if error <= 1:
        return Finding(MATCH, error)
    return Finding(MISMATCH, error, "the same call gave other logits after another call")


def _distance_twice(dtype: str, pair: tuple[ModelExample, ModelExample], *answers: Any) -> float:
    """Whether both give the same twice, or neither does: what it is is another check's question."""
    verdicts = {_judge_twice(dtype, pair, answer).verdict for answer in answers}
    return 0.0 if len(verdicts) == 1 else math.inf


def _check(name: str, asks: str, **drawn: Any) -> Check:
    def pairs(subject: Subject) -> "st.SearchStrategy[Any] | None":
        ones = claimed_examples(subject, kinds=("trained",), **drawn)
        return None if ones is None else st.tuples(ones, ones)

    return Check(
        f"model/{name}", asks, "logits", pairs, _ask_twice, _judge_twice, _distance_twice, 25
    )


CHECKS = (
    _check("repeatable", "the same call again, after another one, gives the same", **RELEASED),
    _check("repeatable flags", "the same, when the call between has other switches"),
)
