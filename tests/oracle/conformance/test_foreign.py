"""GPT-2s written as outsiders would, each with a real bug in turn: is the bug named?

Through `logits` alone, in JavaScript and in NumPy. A bug may go by two names where no numbers tell
them apart, so what is asked is that its own name is among the likeliest equals.
"""

import shutil
import sys

import pytest

from oracle.adapters.command import command
from oracle.adapters.isolated import isolated
from oracle.conformance.catalogue import named
from oracle.conformance.judge import judgement_of
from oracle.conformance.outcome import RIGHT, WRONG, run

NODE = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
CHECKS = named("model/*")
EXAMPLES = 30
BUGS = (
    "gelu-erf",
    "gelu-sigmoid",
    "layernorm-eps-outside",
    "layernorm-eps-zero",
    "layernorm-bessel",
    "layernorm-square",
    "conv1d-transposed",
    "layers-file-order",
    "scale-flags-ignored",
    "scale-twice",
    "no-causal-mask",
    "causal-off-by-one",
    "mask-minus-1e4",
    "all-masked-row",
    "softmax-no-max",
    "fp16-score-overflow",
    "head-untied-on-resize",
    "missing-tensor-random",
    "tf32",
    "context-wraps",
    "pad-takes-position",
    "pad-unmasked",
)
NAMED = 0.9  # of the bugs, at least


def judged(subject):
    return judgement_of(
        subject, [run(check, subject, count=EXAMPLES, shrink=False) for check in CHECKS]
    )


def likeliest(judgement):
    """The names of the suspects that are as near as the nearest, as far as rounding can tell."""
    return [s.mutant.id for s in judgement.suspects if s.reproduces]


def in_javascript(bug):
    return command(f"node tests/foreign/gpt2.js {bug}")


def in_numpy(bug, monkeypatch):
    monkeypatch.setenv("GPT2_BUG", bug)
    return isolated("adapter:subject")
