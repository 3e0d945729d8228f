"""What has no answer has to be refused: an exception, not numbers."""

import math
from dataclasses import dataclass
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
)
from oracle.strategies._tokens import Batch
from oracle.strategies._weights import Weights

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
    sides = {"n_embd": 4, "n_head": 2, "vocab_size": 5}
    example = draw(claimed_examples(subject, kinds=("trained",), **RELEASED, **sides))
    return Refusal(
        draw(st.sampled_from(REFUSALS)), example, draw(st.sampled_from(sorted(example.weights)))
    )


def _judge_refusal(dtype: str, refusal: Refusal, answer: Any) -> Finding:
    if isinstance(answer, Misbehaviour) and answer.kind == RAISED:
        return Finding(MATCH)
    says = answer.says if isinstance(answer, Misbehaviour) else "it answered"
    named = f" ({refusal.name})" if "tensor" in refusal.why else ""
    return Finding(MISMATCH, math.inf, f"{refusal.why}{named} has to be refused: {says}")


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
    ),
)
