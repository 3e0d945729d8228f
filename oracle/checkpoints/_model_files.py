"""ModelFiles: what a checkpoint holds, a configuration, weights and perhaps a tokenizer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle import model, tokenizer
from oracle.bounds._rounding import Array


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or written; the message says why, and what to do."""


@dataclass(frozen=True)
class Tokenizer:
    """Byte-level BPE: tokens in GPT-2's printable alphabet with their ids, and merges by rank.

    special: tokens that no text turns into, such as "<|endoftext|>"; they are in the vocabulary.
    """

    vocabulary: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    special: Sequence[str] = ()

    def encode(self, text: str) -> list[int]:
        """The ids of a text, taken literally."""
        return tokenizer.encode(self.vocabulary, self.merges, text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens stand as they are written."""
        return self.bytes_of(ids).decode("utf-8", errors="replace")

    def bytes_of(self, ids: Sequence[int]) -> bytes:
        """The bytes of ids, which may end within a character.

        >>> Tokenizer({"Ã": 0, "©": 1}, []).bytes_of([0, 1, 0])
        b'\\xc3\\xa9\\xc3'
        """
        return b"".join(
            token.encode() if token in self.special else tokenizer.token_bytes(token)
            for token in tokenizer.tokens_of(self.vocabulary, ids)
        )


@dataclass(frozen=True, eq=False)
class ModelFiles:
    """config: every field of `model.DEFAULTS`, and the ids of special tokens where there are any.

    weights: float32, under Hugging Face's names without "transformer.".
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Array]
    tokenizer: Tokenizer | None = None


def complete(config: Mapping[str, Any], weights: Mapping[str, Array]) -> dict[str, Any]:
    """The config with every field; CheckpointError unless the weights are those of such a model.

    >>> complete({"n_layer": 0, "n_embd": 2, "vocab_size": 1, "n_positions": 1}, {})
    Traceback (most recent call last):
    ...
    oracle.checkpoints._model_files.CheckpointError: tensor wte.weight is missing; the model needs wte.weight, wpe.weight, ln_f.weight, ln_f.bias
    """  # noqa: E501
    fields = {**model.DEFAULTS, **config}
    wanted = model.shapes(fields)
    for name, shape in wanted.items():
        if name not in weights:
            names = [*wanted] if len(wanted) < 9 else [*list(wanted)[:8], "…"]
            raise CheckpointError(f"tensor {name} is missing; the model needs {', '.join(names)}")
        if np.shape(weights[name]) != shape:
            raise CheckpointError(
                f"tensor {name} has shape {np.shape(weights[name])}; the config says {shape}"
            )
    if unknown := sorted(weights.keys() - wanted.keys()):
        raise CheckpointError(f"tensor {unknown[0]} is not one of a GPT-2 with this config")
    return fields
