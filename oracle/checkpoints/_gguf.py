"""GGUF: one file with metadata, vocabulary and tensors, which llama.cpp and its kin load.

    "GGUF", version 3, counts of tensors and keys
    each key: name, type, value; texts begin with their length in 8 bytes
    each tensor: name, number of dimensions, sizes from the fastest on, type, place of its numbers
    the numbers, each tensor's at a multiple of 32 bytes

Matrices are (out, in). Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and the
tensors' names of `MODEL_TENSOR` in llama.cpp's gguf-py/gguf/constants.py.
"""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oracle.bounds._rounding import Array
from oracle.checkpoints._model_files import ModelFiles, Tokenizer

ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, TEXT, ARRAY = 4, 5, 6, 7, 8, 9
LETTERS = {UINT32: "I", INT32: "i", FLOAT32: "f", BOOL: "?"}
TENSOR_TYPES = {"float32": 0, "float16": 1}
NORMAL, CONTROL, UNUSED = 1, 3, 5  # kinds of token
ALL_F32 = 0  # "general.file_type"
MOSTLY_F16 = 1

TOP = {
    "wte.weight": "token_embd.weight",
    "wpe.weight": "position_embd.weight",
    "ln_f": "output_norm",
    "lm_head.weight": "output.weight",
}
IN_LAYER = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def write_gguf(path: Path, files: ModelFiles, dtype: str = "float32") -> None:
    """Write the file, matrices as `dtype`, vectors and positions as float32.

    Without a tokenizer the file says so: the vocabulary is then a number of tokens.
    """
    metadata = _metadata(files, dtype)
    keys = b"".join(_text(key) + value for key, value in metadata)
    names, numbers, place = b"", [], 0
    tensors = {gguf_name(name): _as_stored(name, array) for name, array in files.weights.items()}
    for name, array in tensors.items():
        kept = dtype if array.ndim == 2 and not name.startswith("position") else "float32"
        data = np.ascontiguousarray(array, np.dtype(kept).newbyteorder("<")).tobytes()
        names += _text(name) + struct.pack(f"<I{array.ndim}Q", array.ndim, *array.shape[::-1])
        names += struct.pack("<IQ", TENSOR_TYPES[kept], place)
        numbers.append(data + bytes(-len(data) % ALIGNMENT))
        place += len(numbers[-1])
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + keys + names
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT))
        file.writelines(numbers)


def gguf_name(name: str) -> str:
    """What a tensor is called in GGUF.

    >>> gguf_name("h.3.attn.c_attn.bias"), gguf_name("ln_f.weight"), gguf_name("wte.weight")
    ('blk.3.attn_qkv.bias', 'output_norm.weight', 'token_embd.weight')
    """
    if name in TOP:
        return TOP[name]
    part, _, kind = name.rpartition(".")
    if part in TOP:
        return f"{TOP[part]}.{kind}"
    _, layer, inner = part.split(".", 2)
    return f"blk.{layer}.{IN_LAYER[inner]}.{kind}"


def _as_stored(name: str, array: Array) -> Array:
    """Conv1D weights, (in, out), the other way round; all others as they are."""
    return array.T if array.ndim == 2 and name.startswith("h.") else array


def _metadata(files: ModelFiles, dtype: str) -> list[tuple[str, bytes]]:
    config = files.config
    return [
        ("general.architecture", _value(TEXT, "gpt2")),
        ("general.name", _value(TEXT, "gpt2")),
        ("general.alignment", _value(UINT32, ALIGNMENT)),
        ("general.file_type", _value(UINT32, ALL_F32 if dtype == "float32" else MOSTLY_F16)),
        ("gpt2.context_length", _value(UINT32, config["n_positions"])),
        ("gpt2.embedding_length", _value(UINT32, config["n_embd"])),
        ("gpt2.feed_forward_length", _value(UINT32, config["n_inner"] or 4 * config["n_embd"])),
        ("gpt2.block_count", _value(UINT32, config["n_layer"])),
        ("gpt2.attention.head_count", _value(UINT32, config["n_head"])),
        ("gpt2.attention.layer_norm_epsilon", _value(FLOAT32, config["layer_norm_epsilon"])),
        ("gpt2.vocab_size", _value(UINT32, config["vocab_size"])),
        *_tokenizer(files.tokenizer, config),
    ]


def _tokenizer(tokenizer: Tokenizer | None, config: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    if tokenizer is None:
        return [("tokenizer.ggml.model", _value(TEXT, "none"))]
    by_id = {number: token for token, number in tokenizer.vocabulary.items()}
    count = config["vocab_size"]
    kinds = [_kind(by_id.get(n), tokenizer) for n in range(count)]
    keys = [
        ("tokenizer.ggml.model", _value(TEXT, "gpt2")),
        ("tokenizer.ggml.pre", _value(TEXT, "gpt-2")),
        ("tokenizer.ggml.tokens", _array(TEXT, [by_id.get(n, f"[{n}]") for n in range(count)])),
        ("tokenizer.ggml.token_type", _array(INT32, kinds)),
        ("tokenizer.ggml.merges", _array(TEXT, [" ".join(pair) for pair in tokenizer.merges])),
        ("tokenizer.ggml.add_bos_token", _value(BOOL, False)),
    ]
    if (end := config.get("eos_token_id")) is not None:
        for name in ("bos", "eos"):
            keys.append((f"tokenizer.ggml.{name}_token_id", _value(UINT32, end)))
    return keys


def _kind(token: str | None, tokenizer: Tokenizer) -> int:
    """A row that no token has, such as padding of the vocabulary, is unused."""
    if token is None:
        return UNUSED
    return CONTROL if token in tokenizer.special else NORMAL


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(kind: int, value: Any) -> bytes:
    packed = _text(value) if kind == TEXT else struct.pack(f"<{LETTERS[kind]}", value)
    return struct.pack("<I", kind) + packed


def _array(kind: int, values: Sequence[Any]) -> bytes:
    start = struct.pack("<IIQ", ARRAY, kind, len(values))
    if kind == TEXT:
        return start + b"".join(map(_text, values))
    return start + struct.pack(f"<{len(values)}{LETTERS[kind]}", *values)
