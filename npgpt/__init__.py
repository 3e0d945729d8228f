"""GPT-2 in NumPy and nothing else.

>>> import npgpt
>>> gpt = npgpt.load()  # the small English model that ships; or a folder with a checkpoint
>>> gpt.config.n_layer
6

What is here, and in the packages named here, is public; `docs/api.md` lists all of it. Everything
else is implementation and may change at any release.

- `load`, `GPT`: open a model; generate, stream, score, trace with it.
- `generate`, `Settings`, `Generation`: the same decoding over a language model of your own.
- `Config`, `Score`: a model's sizes and flags; how likely a text is.
- `checkpoints`, `tokenizer`: files in, files out; text to token ids and back.
- `model`, `ops`: the forward pass and the functions that it is made of, over plain arrays.
- `decoding`, `trace`, `audit`: how tokens are chosen; every activation by name; what to make of it.
- `errors`: all that is raised on purpose.

Each is imported when it is first asked for, so `import npgpt` takes no time and `npgpt.tokenizer`
alone loads no model code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from npgpt._version import __version__

if TYPE_CHECKING:
    from npgpt import audit, checkpoints, decoding, errors, model, ops, tokenizer, trace
    from npgpt._config import Config
    from npgpt._gpt import GPT, load
    from npgpt.decoding import Generation, Settings, generate
    from npgpt.model._score import Score

__all__ = [
    "GPT",
    "Config",
    "Generation",
    "Score",
    "Settings",
    "__version__",
    "audit",
    "checkpoints",
    "decoding",
    "errors",
    "generate",
    "load",
    "model",
    "ops",
    "tokenizer",
    "trace",
]

_DEFINED_IN = {
    "GPT": "npgpt._gpt",
    "Config": "npgpt._config",
    "Generation": "npgpt.decoding",
    "Score": "npgpt.model._score",
    "Settings": "npgpt.decoding",
    "generate": "npgpt.decoding",
    "load": "npgpt._gpt",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _DEFINED_IN:
        public: object = getattr(importlib.import_module(_DEFINED_IN[name]), name)
    else:
        public = importlib.import_module(f"{__name__}.{name}")
    globals()[name] = public
    return public


def __dir__() -> list[str]:
    return sorted(__all__)
