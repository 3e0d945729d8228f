"""Checks of the whole model through `logits` alone."""

from collections.abc import Callable
from typing import Any

from oracle.adapters.guard import RAISED, Misbehaviour
from oracle.conformance._check import REFUSED, Check, Finding
from oracle.conformance._model_examples import (
    PLAIN,
    RELEASED,
    ModelExample,
    claimed_examples,
    distance_of_logits,
    judge_logits,
)
from oracle.strategies._tokens import PADDINGS
from oracle.strategies._weights import KINDS

Judge = Callable[[str, Any, Any], Finding]

EXTREME = tuple(kind for kind in KINDS if kind not in (*PLAIN, "huge_scores"))


def _judge_flags(dtype: str, example: ModelExample, answer: Any) -> Finding:
    """As any logits; but to refuse a switch that is not the released models' is honest."""
    refused = isinstance(answer, Misbehaviour) and answer.kind == RAISED
    if refused and any(example.config[name] != value for name, value in RELEASED.items()):
        return Finding(REFUSED, 0.0, f"it was refused: {answer.says}")
    return judge_logits(dtype, example, answer)


def _check(
    name: str, asks: str, count: int = 100, judge: Judge = judge_logits, **drawn: Any
) -> Check:
    return Check(
        f"model/{name}",
        asks,
        "logits",
        lambda subject: claimed_examples(subject, **drawn),
        lambda subject, example: example.ask(subject),
        judge,
        distance_of_logits,
        count,
    )


CHECKS = (
    _check("logits", "GPT-2 as it was released, tiny: logits of unpadded rows", **RELEASED),
    _check(
        "flags",
        "the same under every switch of the configuration",
        judge=_judge_flags,
        kinds=("trained",),
    ),
    _check("weights", "weights that are hard on arithmetic", kinds=EXTREME, **RELEASED),
    _check(
        "scores",
        "attention scores from ten to a hundred thousand",
        60,
        kinds=("huge_scores",),
        layers=(1, 2, 3),
        positions=range(3, 11),
        **RELEASED,
    ),
    _check(
        "padding",
        "rows padded left, right, between",
        kinds=("trained",),
        paddings=PADDINGS[1:],
        layers=(1, 2, 3),
        positions=range(5, 11),
        **RELEASED,
    ),
    _check(
        "layers",
        "ten to twelve layers",
        25,
        kinds=PLAIN,
        max_rows=1,
        layers=(10, 11, 12),
        positions=range(1, 6),
        **RELEASED,
    ),
)
