"""Decoding: from a language model's logits to text.

`generate` continues rows of token ids by whichever decoder the `Settings` name, over any function
that gives the logits of what comes next. What it gives back is a `Generation`; with
`output_ledger=True` that has a `Ledger` of every decision, which `replay` repeats without a model.
A model that reads several tokens at once is a `LanguageModel`: `prepare` checks what it is asked,
and `run_request` runs it.

To read on: `_scoring` (rows, scores, probabilities), `_language_model` (what is asked of a model),
`_run` (what a decoder works with), `_sampling` (the shortest decoder), `_decoders` (the table of
them); then `_beam`, `_contrastive`, `_speculative`. `_settings` has the table of settings,
`_processors` a function for each formula, `_generation` and `_ledger` the results.

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
    from npgpt.decoding._decoders import DECODERS, generate, prepare, replay, run_request
    from npgpt.decoding._generation import Generation
    from npgpt.decoding._language_model import LanguageModel, NextStep, Reading, State, Step
    from npgpt.decoding._ledger import Ledger
    from npgpt.decoding._request import Request, seed_uniforms, uniform_shape
    from npgpt.decoding._run import Decision
    from npgpt.decoding._scoring import Row
    from npgpt.decoding._settings import Settings, SettingsDict

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
    "DECODERS": "_decoders",
    "Decision": "_run",
    "Generation": "_generation",
    "LanguageModel": "_language_model",
    "Ledger": "_ledger",
    "NextStep": "_language_model",
    "Reading": "_language_model",
    "Request": "_request",
    "Row": "_scoring",
    "Settings": "_settings",
    "SettingsDict": "_settings",
    "State": "_language_model",
    "Step": "_language_model",
    "generate": "_decoders",
    "prepare": "_decoders",
    "run_request": "_decoders",
    "replay": "_decoders",
    "seed_uniforms": "_request",
    "uniform_shape": "_request",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
