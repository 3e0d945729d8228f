"""Configuration of a GGUF file's model, as its metadata states it."""

from collections.abc import Mapping
from typing import Any

from npgpt._config import from_json
from npgpt._quoting import kind
from npgpt.checkpoints._gguf.metadata import Value
from npgpt.checkpoints._gguf.tokens import TOKENS
from npgpt.errors import CheckpointError, ConfigError

ARCHITECTURE = "gpt2"
TABLE, HEAD = "token_embd.weight", "output.weight"
_EPSILON = "gpt2.attention.layer_norm_epsilon"
_REQUIRED = {
    "n_positions": "gpt2.context_length",
    "n_embd": "gpt2.embedding_length",
    "n_layer": "gpt2.block_count",
    "n_head": "gpt2.attention.head_count",
}
_OPTIONAL = {
    "n_inner": "gpt2.feed_forward_length",
    "bos_token_id": "tokenizer.ggml.bos_token_id",
    "eos_token_id": "tokenizer.ggml.eos_token_id",
    "pad_token_id": "tokenizer.ggml.padding_token_id",
}
# What other architectures may do differently, as the key and what it must equal.
_SAME = {
    "gpt2.attention.head_count_kv": "n_head",
    "gpt2.vocab_size": "vocab_size",
}


def check_architecture(values: Mapping[str, Value], where: str) -> None:
    """Raise CheckpointError unless the file says that it holds a GPT-2, all of it."""
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str) or architecture != ARCHITECTURE:
        raise CheckpointError(
            f"{where}: general.architecture is {kind(architecture)}; npgpt runs "
            f"{ARCHITECTURE!r} only"
        )
    parts = values.get("split.count", 1)
    if type(parts) is not int or parts > 1:
        raise CheckpointError(
            f"{where}: one of {kind(parts)} parts of a model (split.count); "
            "join them with llama.cpp's llama-gguf-split --merge"
        )


def gguf_config(
    values: Mapping[str, Value], shapes: Mapping[str, tuple[int, ...]], where: str
) -> dict[str, Any]:
    """The fields of a config.json, from the metadata and the shapes of the file's tensors.

    The head is untied where the file holds one, be it equal to the token embedding, as some
    converters store it. The activation is GPT-2's: the format has no key for it. Raises
    CheckpointError or ConfigError, starting with `where`, for what is missing or contradictory.
    """
    chosen = {**_REQUIRED, **{n: key for n, key in _OPTIONAL.items() if key in values}}
    fields: dict[str, Any] = {name: _whole(values, key, where) for name, key in chosen.items()}
    fields["layer_norm_epsilon"] = _epsilon(values, where)
    fields["vocab_size"] = _vocab_size(values, shapes, where)
    fields["tie_word_embeddings"] = HEAD not in shapes
    fields["activation_function"] = "gelu_new"
    fields["model_type"] = ARCHITECTURE
    for key, name in _SAME.items():
        if key in values and _whole(values, key, where) != fields[name]:
            raise ConfigError(
                f"{where}: {key} is {kind(values[key])}; GPT-2 has {name}, {fields[name]}"
            )
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if name in fields and fields[name] >= fields["vocab_size"]:
            raise ConfigError(
                f"{where}: {_OPTIONAL[name]} is {fields[name]}, but there are only "
                f"{fields['vocab_size']} tokens"
            )
    try:
        from_json(fields)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return fields


def _whole(values: Mapping[str, Value], key: str, where: str) -> int:
    value = values.get(key)
    # `type`, not `isinstance`: True is no size.
    if type(value) is not int or value < 0:
        raise ConfigError(f"{where}: {key} is {kind(value)}; expected a whole number, 0 or more")
    return value


def _epsilon(values: Mapping[str, Value], where: str) -> float:
    value = values.get(_EPSILON)
    if not isinstance(value, float):
        raise ConfigError(f"{where}: {_EPSILON} is {kind(value)}; expected a fraction")
    return value


def _vocab_size(
    values: Mapping[str, Value], shapes: Mapping[str, tuple[int, ...]], where: str
) -> int:
    """The number of tokens, which is that of the embedding's rows."""
    tokens, table = values.get(TOKENS), shapes.get(TABLE)
    counts = [len(tokens)] if isinstance(tokens, list) else []
    if table:
        counts.append(table[0])
    if not counts:
        raise CheckpointError(f"{where}: neither {TABLE} nor {TOKENS}, so of no known vocabulary")
    if counts[0] != counts[-1]:
        raise CheckpointError(
            f"{where}: {counts[0]} tokens, but {TABLE} has {counts[-1]} rows; "
            "they do not belong together"
        )
    return counts[0]
