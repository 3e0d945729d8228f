"""Formats of checkpoints that the oracle writes: how, and which models each can hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.bounds._rounding import Array
from oracle.checkpoints._gguf import write_gguf
from oracle.checkpoints._llmc import write_llmc
from oracle.checkpoints._model_files import CheckpointError, ModelFiles, Tokenizer, complete
from oracle.checkpoints._npz import write_npz
from oracle.checkpoints._safetensors_folder import write_folder

# What GGUF and llm.c do not write but always mean.
PLAIN = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
}


@dataclass(frozen=True)
class Format:
    """One format. suffix: of the file's name. only: fields that must have one of some values.

    >>> format_named("llmc").cannot_hold({"layer_norm_epsilon": 1e-6})
    "llm.c's .bin holds no model with layer_norm_epsilon 1e-06, but with 1e-05"
    """

    name: str
    called: str
    suffix: str
    write: Callable[[Path, ModelFiles, str], None]
    dtypes: tuple[str, ...]
    only: Mapping[str, tuple[Any, ...]]

    def cannot_hold(self, config: Mapping[str, Any]) -> str:
        """Why a model with such a config cannot be written, or nothing."""
        for field, values in self.only.items():
            if field == "n_inner" and config.get(field) == 4 * config.get("n_embd", 0):
                continue
            if field in config and config[field] not in values:
                wanted = " or ".join(map(str, values))
                return (
                    f"{self.called} holds no model with {field} {config[field]}, but with {wanted}"
                )
        return ""


FORMATS: Mapping[str, Format] = {
    row.name: row
    for row in (
        Format("safetensors", "a safetensors folder", "", write_folder, ("float32", "float16"), {}),
        Format("gguf", "GGUF", ".gguf", write_gguf, ("float32", "float16"), PLAIN),
        Format(
            "llmc",
            "llm.c's .bin",
            ".bin",
            write_llmc,
            ("float32",),
            PLAIN
            | {"layer_norm_epsilon": (1e-5,), "tie_word_embeddings": (True,), "n_inner": (None,)},
        ),
        Format("npz", "an .npz", ".npz", write_npz, ("float32", "float16"), {}),
    )
}


def format_named(name: str) -> Format:
    """The format of this name; CheckpointError where there is none."""
    if name not in FORMATS:
        raise CheckpointError(f"{name!r} is no format; expected one of {', '.join(FORMATS)}")
    return FORMATS[name]


def write(
    path: Path | str,
    config: Mapping[str, Any],
    weights: Mapping[str, Array],
    tokenizer: Tokenizer | None = None,
    *,
    format: str = "safetensors",
    dtype: str = "float32",
) -> Path:
    """Write a model; the path, which for "safetensors" is that of a folder.

    config: fields of `model.DEFAULTS`, those left out as there; eos_token_id too, where there is
    one. weights: under Hugging Face's names without "transformer.". dtype: how numbers are stored,
    "float32" or "float16". Raises CheckpointError where the tensors are not those of the config,
    or the format cannot hold it.
    """
    row, path = format_named(format), Path(path)
    if dtype not in row.dtypes:
        raise CheckpointError(
            f"{row.called} is not written in {dtype!r}; expected {' or '.join(row.dtypes)}"
        )
    if why := row.cannot_hold(config):
        raise CheckpointError(why)
    row.write(path, ModelFiles(complete(config, weights), weights, tokenizer), dtype)
    return path
