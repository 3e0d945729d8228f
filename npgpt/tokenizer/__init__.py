"""Tokenizer of GPT-2: byte-level byte-pair encoding, text to token ids and back.

`load` reads the tokenizer's files of a checkpoint's folder, `train` makes a tokenizer out of texts,
and `save` writes one as Hugging Face's tokenizers read it.

>>> from npgpt.tokenizer import train
>>> tokenizer = train(["to be or not to be"], vocab_size=260)
>>> tokenizer
Tokenizer(260 tokens, 3 merges, special: {'<|endoftext|>': 259})
>>> tokenizer.encode("to be"), tokenizer.decode([257, 258])
([257, 258], 'to be')

To read the code, follow a text: encoding, special, split (words is the same, fast), byte_alphabet,
merge; then training, and files for what is on disk.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from npgpt.tokenizer._encoding import IncrementalDecoder, Tokenizer, incremental_decoder
    from npgpt.tokenizer._files import load, save
    from npgpt.tokenizer._training import train

__all__ = [
    "IncrementalDecoder",
    "Tokenizer",
    "incremental_decoder",
    "load",
    "save",
    "train",
]

# Which module holds each: imported when it is first asked for.
_MODULES = {
    "IncrementalDecoder": "_encoding",
    "Tokenizer": "_encoding",
    "incremental_decoder": "_encoding",
    "load": "_files",
    "save": "_files",
    "train": "_training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
