"""Checkpoints: a GPT-2's files, opened, inspected, saved and fetched.

`load` opens a model of any of FORMATS, with the tensors' names of any of DIALECTS, and gives a
`Checkpoint`; `save` writes a folder that Hugging Face's transformers open too. `inspect` says what
files hold, also those that `load` refuses, and `list_tensors` names the tensors without reading
them. `fetch` gets a model from the Hugging Face hub.

>>> import npgpt
>>> from npgpt.checkpoints import list_tensors
>>> list_tensors(npgpt.load().path)  # the model that ships
Listing('safetensors' of 'Hugging Face', 76 tensors of 11706368 bytes, 1 files)

Files are taken for hostile: nothing in one is ever run, none takes much more memory than its own
size, and what is damaged or contradicts itself is a CheckpointError that names the file.

To read the code, follow a model from its files: `_weights`, `_formats`, `_safetensors`, `_tensors`,
`_dialects`, `_matrix_order`, `_configuration`, `_loading`. Each other format is a file or a folder
of its own.
"""

from typing import TYPE_CHECKING, Any

from npgpt.checkpoints._dialects import DIALECTS, Dialect
from npgpt.checkpoints._formats import FORMATS, Format
from npgpt.checkpoints._listing import Listing, TensorEntry, list_tensors
from npgpt.checkpoints._loading import Checkpoint, load
from npgpt.checkpoints._saving import save

if TYPE_CHECKING:
    from npgpt.checkpoints._hub.fetch import Fetched, fetch
    from npgpt.checkpoints._inspection import inspect

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


def __getattr__(name: str) -> Any:
    """What few programs need is imported when it is asked for (PEP 562)."""
    if name == "inspect":
        from npgpt.checkpoints._inspection import inspect

        return inspect
    if name in ("Fetched", "fetch"):
        from npgpt.checkpoints._hub import fetch

        return getattr(fetch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
