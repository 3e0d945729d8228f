"""The PyTorch oracle's decoding: `process`, `generate` and `draw` as a Subject offers them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from oracle.bounds._rounding import Array
from oracle.decoding import _decoders as decoders
from oracle.decoding import _pipeline as pipeline
from oracle.decoding._language_model import LanguageModel
from oracle.decoding._rows import start_rows
from oracle.strategies._decoding_problems import room_of, uniforms_shape

# Modules, not names, are imported above: a mutant acts by replacing what a module holds.

# One stream of numbers for all calls, so that a whole run can be repeated.
_RANDOM = np.random.default_rng(20260401)


def process(settings: Mapping[str, Any], tokens: Array, prompt_length: int, logits: Array) -> Array:
    """The scores after every setting, float64 (rows, vocab), temperature and filters included.

    Where no length is set, the next token is not the last one.

    >>> process({"top_k": 1}, np.array([[0]]), 1, np.array([[1.0, 2.0]])).tolist()
    [[-inf, 2.0]]
    """
    length = tokens.shape[1]
    given = {"max_length": length + 2, **settings}
    rows = [
        row.then(*ids[prompt_length:])
        for row, ids in zip(
            start_rows(tokens[:, :prompt_length].tolist(), given), tokens.tolist(), strict=True
        )
    ]
    scores = torch.from_numpy(np.array(logits, np.float64))
    return pipeline.process(given, rows, scores, sampling=True)[0].numpy()


def language_model(
    next_logits: Callable[..., Any], hidden: Callable[..., Any] | None = None
) -> LanguageModel:
    """The oracle's language model of functions that give arrays."""
    return LanguageModel(
        lambda rows: torch.from_numpy(np.array(next_logits([list(row) for row in rows]))),
        hidden
        and (lambda rows: [torch.from_numpy(np.array(s)) for s in hidden([list(r) for r in rows])]),
    )


def generate(
    next_logits: Callable[..., Any],
    prompts: Sequence[Sequence[int]],
    settings: Mapping[str, Any],
    uniforms: Array | None,
    *,
    hidden: Callable[..., Any] | None = None,
    draft: Callable[..., Any] | None = None,
    negative_prompts: Sequence[Sequence[int]] | None = None,
    text_of: Callable[..., str] | None = None,
) -> list[list[int]]:
    """Rows of ids, the prompt included, by the decoder that the settings name.

    >>> generate(lambda rows: np.array([[0.0, 1.0]] * len(rows)), [[0]], {"max_length": 3}, None)
    [[0, 1, 1]]
    """
    found = decoders.generate(
        language_model(next_logits, hidden),
        prompts,
        settings,
        uniforms=uniforms,
        draft=draft and language_model(draft),
        negative_prompts=negative_prompts,
        text_of=text_of,
    )
    return [list(row) for row in found.sequences]


def draw(
    next_logits: Callable[..., Any], prompts: Sequence[Sequence[int]], settings: Mapping[str, Any]
) -> list[list[int]]:
    """The same with numbers of its own in place of uniforms."""
    room = max(room_of(prompt, settings) for prompt in prompts)
    uniforms = _RANDOM.random(uniforms_shape(settings, len(prompts), room))
    return generate(next_logits, prompts, settings, uniforms)
