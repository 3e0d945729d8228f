"""Checks of the whole model through `logits` alone."""

from collections.abc import Callable, Sequence
from typing import Any

from oracle.conformance import _places as places
from oracle.conformance._border_examples import examples_at
from oracle.conformance._check import Check, Finding
from oracle.conformance._model_examples import (
    PLAIN,
    RELEASED,
    claimed_examples,
    distance_of_logits,
    judge_flags,
    judge_logits,
)
from oracle.conformance._places import Place
from oracle.strategies._tokens import PADDINGS
from oracle.strategies._weights import KINDS

Judge = Callable[[str, Any, Any], Finding]

EXTREME = tuple(kind for kind in KINDS if kind not in (*PLAIN, "huge_scores"))


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


def _border_check(
    name: str,
    asks: str,
    where: Sequence[Place],
    judge: Judge = judge_logits,
    size: str = "borders",
) -> Check:
    return Check(
        f"model/{name}",
        asks,
        "logits",
        lambda subject: examples_at(where, subject),
        lambda subject, example: example.ask(subject),
        judge,
        distance_of_logits,
        len(where),
        size,
    )


CHECKS = (
    _check("logits", "GPT-2 as it was released, tiny: logits of unpadded rows", **RELEASED),
    _check(
        "flags",
        "the same under every switch of the configuration",
        judge=judge_flags,
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
    _border_check("long", "rows of 15 to 1025 tokens", places.LONG),
    _border_check("wide", "heads, their width and the model's at the sizes of tiles", places.WIDE),
    _border_check("deep", "12, 24 and 48 layers", places.DEEP),
    _border_check("vocabulary", "vocabularies of 255 to 50257, and a padded one", places.TABLES),
    _border_check("batch", "batches of 7 to 257 rows, and one of 65,552 tokens", places.BATCHES),
    _border_check("long padding", "rows of up to 257 tokens, padded", places.GAPPED),
    _border_check(
        "wide flags",
        "other switches at the sizes of tiles, and MLPs of any width",
        places.SWITCHED,
        judge_flags,
    ),
    _border_check("gpt2", "GPT-2 small's shape, 1024 tokens", (places.GPT2,), size="gpt2"),
)
