"""Checkpoints: a GPT-2's files, opened, inspected, saved and fetched.

`load` opens a model of any of FORMATS, with the tensors' names of any of DIALECTS, and gives a
`Checkpoint`; `save` writes a folder that Hugging Face's transformers open too. `inspect` says what
files hold, also those that `load` refuses, and `list_tensors` names the tensors without reading
them. `fetch` gets a model from the Hugging Face hub.

>>> from npgpt.checkpoints import list_tensors
>>> from npgpt._gpt import shipped
>>> list_tensors(shipped())
Listing('safetensors' of 'Hugging Face', 76 tensors of 11706368 bytes, 1 files)

Files are taken for hostile: nothing in one is ever run, none takes much more memory than its own
size, and what is damaged or contradicts itself is a CheckpointError that names the file.

To read the code, follow a model from its files: weights, formats, safetensors, tensors, dialects,
matrix_order, configuration, loading. Each other format is a file or a folder of its own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from npgpt.checkpoints._dialects import DIALECTS, Dialect
    from npgpt.checkpoints._formats import FORMATS, Format
    from npgpt.checkpoints._hub.fetch import Fetched, fetch
    from npgpt.checkpoints._inspection import inspect
    from npgpt.checkpoints._listing import Listing, TensorEntry, list_tensors
    from npgpt.checkpoints._loading import Checkpoint, load
    from npgpt.checkpoints._saving import save

__all__ = [
    "DIALECTS",
    "FORMATS",
    "Checkpoint",
    "Dialect",
    "Fetched",
    "Format",
    "Listing",
    "TensorEntry",
    "fetch",
    "inspect",
    "list_tensors",
    "load",
    "save",
]

# Which module holds each: imported when it is first asked for.
_MODULES = {
    "DIALECTS": "_dialects",
    "FORMATS": "_formats",
    "Checkpoint": "_loading",
    "Dialect": "_dialects",
    "Fetched": "_hub.fetch",
    "Format": "_formats",
    "Listing": "_listing",
    "TensorEntry": "_listing",
    "fetch": "_hub.fetch",
    "inspect": "_inspection",
    "list_tensors": "_listing",
    "load": "_loading",
    "save": "_saving",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
