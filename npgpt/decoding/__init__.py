"""Decoding: from a language model's logits to text.

`generate` continues rows of token ids by whichever decoder the `Settings` name, over any function
that gives the logits of what comes next. What it gives back is a `Generation`; with
`output_ledger=True` that has a `Ledger` of every decision, which `replay` repeats without a model.
A model that reads several tokens at once is a `LanguageModel`: `prepare` checks what it is asked,
and `run_request` runs it.

To read on: `scoring` (rows, scores, probabilities), `language_model` (what is asked of a model),
`run` (what a decoder works with), `sampling` (the shortest decoder), `decoders` (the table of
them); then `beam`, `contrastive`, `speculative`. `settings` has the table of settings,
`processors` a function for each formula, `generation` and `ledger` the results.

>>> import numpy as np
>>> from npgpt.decoding import Settings, Step, generate
>>> def next_step(rows, state):  # after token t comes t + 1; there is nothing to remember
...     return Step(np.eye(5)[[row[-1] + 1 for row in rows]], None, None)
>>> generate(next_step, [0], Settings(max_new_tokens=3))
Generation(decoder='greedy', 1 row)
  0: 1 + 3 tokens, 'length': [0, 1, 2, 3]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from npgpt.decoding.decoders import DECODERS, generate, prepare, replay, run_request
    from npgpt.decoding.generation import Generation
    from npgpt.decoding.language_model import LanguageModel, NextStep, Reading, State, Step
    from npgpt.decoding.ledger import Ledger
    from npgpt.decoding.request import Request, seed_uniforms, uniform_shape
    from npgpt.decoding.run import Decision
    from npgpt.decoding.scoring import Row
    from npgpt.decoding.settings import Settings, SettingsDict

__all__ = [
    "DECODERS",
    "Decision",
    "Generation",
    "LanguageModel",
    "Ledger",
    "NextStep",
    "Reading",
    "Request",
    "Row",
    "Settings",
    "SettingsDict",
    "State",
    "Step",
    "generate",
    "prepare",
    "replay",
    "run_request",
    "seed_uniforms",
    "uniform_shape",
]

# Which module holds each: imported when it is first asked for.
_MODULES = {
    "DECODERS": "decoders",
    "Decision": "run",
    "Generation": "generation",
    "LanguageModel": "language_model",
    "Ledger": "ledger",
    "NextStep": "language_model",
    "Reading": "language_model",
    "Request": "request",
    "Row": "scoring",
    "Settings": "settings",
    "SettingsDict": "settings",
    "State": "language_model",
    "Step": "language_model",
    "generate": "decoders",
    "prepare": "decoders",
    "run_request": "decoders",
    "replay": "decoders",
    "seed_uniforms": "request",
    "uniform_shape": "request",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
