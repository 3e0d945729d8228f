"""Refusals: what has no answer is refused with an exception, or answered, and then how.

It is a verdict apart from that on numbers: NumPy takes −1 for the last token, and a model that is
written in it may be right in every number.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from oracle.adapters.guard import RAISED, Misbehaviour
from oracle.adapters.subject import Subject
from oracle.conformance._check import MATCH, MISMATCH, Check, Finding
from oracle.conformance._model_examples import (
    RELEASED,
    ModelExample,
    claimed_examples,
    distance_of_logits,
    judge_logits,
    not_logits,
)
from oracle.strategies._tokens import Batch
from oracle.strategies._weights import Weights

# Between what was asked and what was done, in a finding's words.
HAS_TO_BE_REFUSED = " has to be refused: "
REFUSALS = (
    "more tokens than n_positions",
    "a token above the vocabulary",
    "a negative token",
    "a missing tensor",
    "a tensor of another shape",
)


@dataclass(frozen=True, eq=False)
class Refusal:
    """What no model can answer: `why`, of REFUSALS."""

    why: str
    example: ModelExample
    name: str

    def spoilt(self) -> ModelExample:
        """The example with that wrong."""
        config, tensors, batch = self.example.config, dict(self.example.weights), self.example.batch
        tokens = batch.tokens.copy()
        if self.why == REFUSALS[0]:
            tokens = np.resize(tokens, (len(tokens), config["n_positions"] + 1))
        elif self.why == REFUSALS[1]:
            tokens[-1, -1] = config["vocab_size"]
        elif self.why == REFUSALS[2]:
            tokens[-1, -1] = -1
        elif self.why == REFUSALS[3]:
            del tensors[self.name]
        else:
            tensors[self.name] = np.append(
                tensors[self.name], tensors[self.name][..., -1:], axis=-1
            )
        spoilt = Weights(tensors, f"{self.example.weights.recipe} with {self.why}: {self.name}")
        return ModelExample(config, spoilt, Batch(tokens, np.ones_like(tokens, bool)))


@st.composite
def refusals(draw: st.DrawFn, subject: Subject) -> Refusal:
    """Examples with one thing wrong.

    No side is 1, or a tensor too wide would fit by broadcasting.
    """
    fields = RELEASED | {"n_embd": 4, "n_head": 2, "vocab_size": 5}
    example = draw(claimed_examples(subject, kinds=("trained",), **fields))
    return Refusal(
        draw(st.sampled_from(REFUSALS)), example, draw(st.sampled_from(sorted(example.weights)))
    )


def _judge_refusal(dtype: str, refusal: Refusal, answer: Any) -> Finding:
    if isinstance(answer, Misbehaviour) and answer.kind == RAISED:
        return Finding(MATCH)
    named = f" ({refusal.name})" if "tensor" in refusal.why else ""
    says = f"{refusal.why}{named}{HAS_TO_BE_REFUSED}{_what_it_did(dtype, refusal, answer)}"
    return Finding(MISMATCH, math.inf, says)


def _what_it_did(dtype: str, refusal: Refusal, answer: Any) -> str:
    """In a few words: for which right question the answer would be the right one."""
    if isinstance(answer, Misbehaviour):
        return answer.says
    if not_logits(refusal.spoilt(), answer):
        return "it answered with something else than logits"
    if not np.isfinite(answer).all():
        return "it answered with numbers that are not finite"
    for words, meant in _meanings(refusal):
        if judge_logits(dtype, meant, answer).verdict == MATCH:
            return f"it answered {words}"
    return "it answered with other numbers"


def _meanings(refusal: Refusal) -> Iterator[tuple[str, ModelExample]]:
    """What may have been taken for what was asked, with words for it."""
    asked = refusal.spoilt()
    config, batch, vocab = asked.config, asked.batch, asked.config["vocab_size"]
    negative = refusal.why == REFUSALS[2]
    if negative or refusal.why == REFUSALS[1]:
        last = "as Python indexes do" if negative else "as if it were the last token"
        for words, token in ((last, vocab - 1), ("as if it were token 0", 0)):
            tokens = batch.tokens.copy()
            tokens[-1, -1] = token
            yield words, replace(asked, batch=replace(batch, tokens=tokens))
        return
    tensors, name = dict(refusal.example.weights), refusal.name
    if refusal.why == REFUSALS[0]:
        config, name = config | {"n_positions": config["n_positions"] + 1}, "wpe.weight"
        table = tensors[name]
        more = {
            "as if beyond the last position all were at the last": table[-1:],
            "as if positions began again": table[:1],
            "without a position beyond the last": np.zeros_like(table[:1]),
        }
        stand_ins = {words: np.concatenate([table, row]) for words, row in more.items()}
    elif refusal.why == REFUSALS[3]:
        stand_ins = {
            "as if it were zeros": np.zeros_like(tensors[name]),
            "as if it were ones": np.ones_like(tensors[name]),
        }
    else:
        stand_ins = {"as if what is too much were not there": tensors[name]}
    for words, array in stand_ins.items():
        weights = Weights(tensors | {name: array}, f"{refusal.example.weights.recipe} {words}")
        yield words, ModelExample(config, weights, batch)


def _distance_of_refusals(dtype: str, refusal: Refusal, one: Any, other: Any) -> float:
    """0 for equal answers, and 1 for other numbers where something should have been refused."""
    if isinstance(one, Misbehaviour) or isinstance(other, Misbehaviour):
        return distance_of_logits(dtype, refusal.example, one, other)
    same = np.shape(one) == np.shape(other) and np.array_equal(
        np.asarray(one, np.float32), np.asarray(other, np.float32), equal_nan=True
    )
    return 0.0 if same else 1.0


CHECKS = (
    Check(
        "model/refusals",
        "what has no answer is refused, not answered",
        "logits",
        lambda subject: refusals(subject),
        lambda subject, refusal: refusal.spoilt().ask(subject),
        _judge_refusal,
        _distance_of_refusals,
        50,
        refusals=True,
    ),
)
