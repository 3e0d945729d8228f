"""Toy models as the oracle's decoders take them, on the device under test."""

import math
import zlib

import numpy as np
import torch
from hypothesis import settings

from oracle.decoding._decoders import generate
from oracle.decoding._language_model import LanguageModel
from oracle.strategies._toy_language_models import text_of
from tests.helpers.device import DEVICE

# A whole text takes a hundred times longer than an op: 100 examples where the ops get 200.
whole_texts = settings(max_examples=settings.default.max_examples // 2)
EPS = 2.0**-52
# Below this, what rounds in float64 may decide: see `rounding`.
NARROW = 2.0**-30


def of_toy(toy, *, moved=lambda rows: 0.0):
    """The toy as a language model; `moved` is added to its logits."""
    return LanguageModel(
        lambda rows: torch.from_numpy(toy.logits_of(rows) + moved(rows)).to(DEVICE),
        lambda rows: [torch.from_numpy(states).to(DEVICE) for states in toy.hidden_of(rows)],
    )


def solve(problem, **changes):
    """What the oracle makes of a decoding problem; `changes` replace arguments of `generate`."""
    given = {
        "language_model": of_toy(problem.toy),
        "prompts": problem.prompts,
        "settings": problem.settings,
        "uniforms": problem.uniforms,
        "draft": problem.draft and of_toy(problem.draft),
        "negative_prompts": problem.negative_prompts,
        "text_of": text_of,
    }
    return generate(**{**given, **changes})


def table(probabilities, *, hidden=None):
    """The language model of a function from a row to the probability of each token."""

    def logits_of(rows):
        found = [[math.log(p) if p else -math.inf for p in probabilities(row)] for row in rows]
        return torch.tensor(found, dtype=torch.float64, device=DEVICE)

    return LanguageModel(logits_of, hidden)


def least_margin(generation):
    return min((m for margins in generation.margins for m in margins), default=math.inf)


def noise(rows, vocab, size, seed=0):
    """Numbers from -size to size, the same for a row wherever it is met: (rows, vocab)."""
    found = []
    for row in rows:
        rng = np.random.default_rng([seed, zlib.crc32(bytes(row))])
        found.append(rng.uniform(-1, 1, vocab) if seed % 2 else rng.choice([-1.0, 1.0], vocab))
    return size * np.array(found)


def rounding(tokens):
    """How far two sums of this many log-probabilities of a toy model may be apart by rounding.

    Each is a difference of logarithms below 64, normalised over 6 tokens at most: 16 roundings.
    """
    return 16 * 64 * EPS * max(tokens, 1)
