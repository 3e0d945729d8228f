"""Drawn examples for whole foreign models, and how far their logits are from the reference."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from oracle.adapters.guard import RAISED, Misbehaviour
from oracle.bounds._compare import excess
from oracle.bounds._noise import noise_floor
from oracle.conformance._explore import collect
from oracle.strategies._configs import configs
from oracle.strategies._tokens import Batch, batches
from oracle.strategies._weights import build_weights, weights

FOREIGN = Path(__file__).parents[1] / "foreign"
# Those bugs that wrong numbers for ordinary examples show; the others are in what is refused, or
# need eleven layers.
NUMBER_BUGS = (
    "gelu-erf",
    "gelu-sigmoid",
    "layernorm-eps-outside",
    "layernorm-eps-zero",
    "layernorm-bessel",
    "layernorm-square",
    "conv1d-transposed",
    "scale-flags-ignored",
    "scale-twice",
    "no-causal-mask",
    "causal-off-by-one",
    "mask-minus-1e4",
    "softmax-no-max",
    "fp16-score-overflow",
    "all-masked-row",
    "pad-takes-position",
    "pad-unmasked",
    "head-untied-on-resize",
    "tf32",
    "dropout-in-eval",
)

C_BUGS = (
    "gelu-erf",
    "gelu-sigmoid",
    "layernorm-eps-outside",
    "layernorm-bessel",
    "conv1d-transposed",
    "scale-flags-ignored",
    "scale-twice",
    "no-causal-mask",
    "causal-off-by-one",
    "softmax-no-max",
)


@st.composite
def whole_models(draw, **fixed):
    config = draw(configs(**fixed))
    return config, draw(weights(config)), draw(batches(config, empty_rows=True))


@lru_cache
def judged(count, **fixed):
    """Examples with their reference logits and what is allowed."""
    return [
        (example, noise_floor(*arrays(example), dtype="float32"))
        for example in collect(whole_models(**fixed), count)
    ]


def arrays(example):
    config, made, batch = example
    return made, config, batch.tokens, batch.mask


def error(subject, example, reference, allowed):
    """Of the subject's logits where tokens are real, as a part of what is allowed."""
    config, made, batch = example
    found = subject.logits(config, made, batch.tokens, batch.mask)
    real = batch.mask[..., None]
    return excess(np.where(real, found, 0), np.where(real, reference, 0), allowed)


def wrong(subject):
    """Which of three bugs that ordinary examples do not show the subject has."""
    config = {
        "vocab_size": 5, "n_positions": 2, "n_embd": 3, "n_layer": 11, "n_head": 1,
        "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False, "tie_word_embeddings": True,
    }  # fmt: skip
    made = build_weights("trained", 0, config)
    batch = Batch(np.array([[0, 1, 2]]), np.array([[True, True, False]]))
    example = config, made, batch
    lacking = {name: array for name, array in made.items() if name != "h.3.ln_1.weight"}
    bugs = set()
    if error(subject, example, *noise_floor(*arrays(example), dtype="float32")) > 1:
        bugs.add("layers-file-order")
    if not refuses(subject, config, lacking, batch.tokens, batch.mask):
        bugs.add("missing-tensor-random")
    if not refuses(subject, config, made, batch.tokens, np.ones((1, 3), bool)):
        bugs.add("context-wraps")
    for outside in (-1, 5):
        assert refuses(subject, config, made, np.array([[outside]]), np.ones((1, 1), bool))
    return bugs


def refuses(subject, *given):
    try:
        subject.logits(*given)
    except Misbehaviour as misbehaviour:
        return misbehaviour.kind == RAISED
    return False


def unseen(open_subject, examples, among=NUMBER_BUGS):
    """Those bugs that no example shows; open_subject(bug) is a context."""
    bugs = []
    for bug in among:
        with open_subject(bug) as subject:
            if not any(_shows(subject, example, *floor) for example, floor in examples):
                bugs.append(bug)
    return bugs


def _shows(subject, example, *floor):
    """Whether the subject is wrong: it refuses what has an answer, or answers something else."""
    try:
        return error(subject, example, *floor) > 1
    except Misbehaviour:
        return True
