"""The oracle's own decoding as a subject, with or without a bug in it."""

import functools
from dataclasses import replace

import numpy as np
import torch

from oracle.adapters import pytorch_decoding
from oracle.adapters.subject import Subject
from oracle.conformance._check import MISMATCH
from oracle.conformance._explore import collect
from oracle.decoding import _pipeline as pipeline
from oracle.decoding._rows import start_rows
from oracle.strategies._decoding_problems import DECODERS, settings_of

SETTINGS = tuple(sorted({name for decoder in DECODERS for name in settings_of(decoder)}))
ORACLE = Subject(
    "oracle",
    process=pytorch_decoding.process,
    generate=pytorch_decoding.generate,
    draw=pytorch_decoding.draw,
    decoders=DECODERS,
    settings=SETTINGS,
)
EXAMPLES = 60
# What the bugs answer with, and worse: each is to give a MISMATCH that says what it is.
GARBAGE = [
    None,
    3,
    "text",
    [],
    [None],
    [[None]],
    [["a"]],
    [[0.5]],
    [[float("nan")]],
    [[True]],
    [[[0]]],
    {},
    ...,
    np.zeros(0),
    np.zeros((1, 1, 1)),
    np.array([["a"]]),
    [[10**30]],
    [[-1]],
    [[0], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]],
]


def in_float32(settings, tokens, prompt_length, logits):
    """`process` with every number in float32."""
    given = {"max_length": tokens.shape[1] + 2, **settings}
    starts = start_rows(tokens[:, :prompt_length].tolist(), given)
    rows = [
        row.then(*ids[prompt_length:]) for row, ids in zip(starts, tokens.tolist(), strict=True)
    ]
    scores = torch.from_numpy(logits.astype(np.float32))
    return pipeline.process(given, rows, scores, sampling=True)[0].numpy()


def rounded(next_logits, prompts, settings, uniforms, *, draft=None, **more):
    """`generate` from logits that were rounded to float32."""
    if draft is not None:
        more["draft"] = lambda rows: draft(rows).astype(np.float32)
    return pytorch_decoding.generate(
        lambda rows: next_logits(rows).astype(np.float32), prompts, settings, uniforms, **more
    )


@functools.cache
def examples_of(check, count=EXAMPLES):
    return collect(check.examples(ORACLE), count)


def verdicts(check, subject, dtype, count=EXAMPLES):
    return [
        check.judge(dtype, example, check.answer(subject, example))
        for example in examples_of(check, count)
    ]


def meant_for(mutant, checks, starts):
    """The check for a bug; starts: from how an id begins to a check's name, the first that fits."""
    named = {check.name.partition("/")[2]: check for check in checks}
    return named[next(name for start, name in starts.items() if mutant.id.startswith(start))]


def kills(check, mutant, dtype="float32"):
    """Whether a check finds the mutant wrong; a crash is found wrong by whoever runs the check."""
    subject = replace(ORACLE, **{check.needs: mutant.wraps(getattr(ORACLE, check.needs))})
    for example in examples_of(check, check.count):
        try:
            answer = check.answer(subject, example)
        except Exception:
            return True
        if check.judge(dtype, example, answer).verdict == MISMATCH:
            return True
    return False
