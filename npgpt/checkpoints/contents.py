"""What files of weights hold, whatever their format."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npgpt.checkpoints.dtypes import Stored
from npgpt.tokenizer.encoding import Tokenizer


@dataclass(frozen=True)
class Weights:
    """All tensors of a model by the names that its files give them, none read yet.

    `form` names the format. Formats that need no config.json beside them say its fields in
    `config`, by Hugging Face's names, and some hold a `tokenizer`; else these are None.
    """

    form: str
    files: tuple[Path, ...]
    tensors: dict[str, Stored]
    config: Mapping[str, Any] | None = None
    tokenizer: Tokenizer | None = None
