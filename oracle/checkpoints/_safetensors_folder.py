"""Safetensors folder: config.json, model.safetensors and tokenizer files, as transformers has them.

Source: https://github.com/huggingface/safetensors, "Format", and the files of
https://huggingface.co/openai-community/gpt2.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file

from oracle import model
from oracle.bounds._rounding import Array
from oracle.checkpoints._model_files import CheckpointError, ModelFiles, Tokenizer, complete

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
PREFIX = "transformer."
# Masks that older files keep beside the weights; they follow from n_positions.
NO_WEIGHTS = (".attn.bias", ".attn.masked_bias")
SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")
DO_THIS = (
    "the oracle reads folders with config.json and model.safetensors: save the model so, with "
    "transformers' save_pretrained(folder, safe_serialization=True) or `npgpt convert`"
)


def write_folder(path: Path, files: ModelFiles, dtype: str = "float32") -> None:
    """Write the folder, numbers as `dtype`; a tokenizer as vocab.json, merges.txt, tokenizer.json.

    bfloat16 is not among the dtypes: NumPy has none.
    """
    path.mkdir(parents=True, exist_ok=True)
    fields = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "torch_dtype": dtype}
    special = {name: files.config.get(name) for name in SPECIAL}
    _write_json(path / CONFIG, {**fields, **special, **files.config})
    tensors = {
        name if name == "lm_head.weight" else PREFIX + name: np.ascontiguousarray(array, dtype)
        for name, array in files.weights.items()
    }
    save_file(tensors, path / WEIGHTS, metadata={"format": "pt"})
    if files.tokenizer is not None:
        _write_tokenizer(path, files.tokenizer)


def read_folder(path: Path | str) -> ModelFiles:
    """The model in a folder, its weights as float32; the tokenizer too where its files are there.

    Raises CheckpointError, in one line that begins with the path, for anything else: other formats,
    a damaged file, a model that is no GPT-2, tensors that do not fit the configuration.
    """
    folder = Path(path)
    try:
        config = _read_config(folder)
        weights = _read_weights(folder)
        if config["tie_word_embeddings"]:
            weights.pop("lm_head.weight", None)
        return ModelFiles(complete(config, weights), weights, _read_tokenizer(folder, config))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "is not there"
        raise CheckpointError(f"{what}; {DO_THIS}")
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"has no {CONFIG}; {DO_THIS}")
    fields = _read_json(folder / CONFIG)
    if fields.get("model_type", "gpt2") != "gpt2":
        raise CheckpointError(
            f"model_type is {fields['model_type']!r}; the oracle knows gpt2 alone"
        )
    config = {name: fields.get(name, value) for name, value in model.DEFAULTS.items()}
    if config["activation_function"] not in model.ACTIVATIONS:
        raise CheckpointError(
            f"activation_function is {config['activation_function']!r}; the oracle knows "
            f"{', '.join(model.ACTIVATIONS)}"
        )
    sizes = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    for name in sizes:
        if type(config[name]) is not int or config[name] < (name != "n_layer"):
            raise CheckpointError(f"{name} is {config[name]!r}; expected a whole number above 0")
    if config["n_embd"] % config["n_head"]:
        raise CheckpointError(
            f"n_embd is {config['n_embd']}; expected a multiple of n_head, {config['n_head']}"
        )
    return config | {name: fields[name] for name in SPECIAL if fields.get(name) is not None}


def _read_weights(folder: Path) -> dict[str, Array]:
    if (folder / WEIGHTS).is_file():
        names = [WEIGHTS]
    elif (folder / INDEX).is_file():
        parts = _read_json(folder / INDEX).get("weight_map", {})
        names = sorted({Path(str(name)).name for name in parts.values()})
    else:
        others = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".gguf", ".npz"))
        has = f"has {others[0]} but no {WEIGHTS}" if others else f"has no {WEIGHTS}"
        raise CheckpointError(f"{has}; {DO_THIS}")
    tensors: dict[str, torch.Tensor] = {}
    for name in names:
        try:
            tensors |= load_file(folder / name)
        except Exception as error:  # safetensors has an exception of its own for each fault
            raise CheckpointError(f"{name} cannot be read: {error}") from error
    return {
        name.removeprefix(PREFIX): tensor.float().numpy()
        for name, tensor in tensors.items()
        if not name.endswith(NO_WEIGHTS)
    }


def _write_tokenizer(path: Path, tokenizer: Tokenizer) -> None:
    vocabulary = {t: n for t, n in tokenizer.vocabulary.items() if t not in tokenizer.special}
    added = {token: tokenizer.vocabulary[token] for token in tokenizer.special}
    _write_json(path / "vocab.json", {**vocabulary, **added})
    lines = ["#version: 0.2", *(" ".join(pair) for pair in tokenizer.merges)]
    (path / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    _write_json(
        path / "tokenizer.json",
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {"id": number, "content": token, **flags, "special": True}
                for token, number in added.items()
            ],
            "normalizer": None,
            "pre_tokenizer": {**byte_level, "use_regex": True},
            "post_processor": None,
            "decoder": {**byte_level, "use_regex": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "",
                "fuse_unk": False,
                "vocab": {**vocabulary, **added},
                "merges": [" ".join(pair) for pair in tokenizer.merges],
            },
        },
    )
    _write_json(
        path / "tokenizer_config.json",
        {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "model_max_length": 10**9},
    )


def _read_tokenizer(folder: Path, config: Mapping[str, Any]) -> Tokenizer | None:
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        vocabulary = _read_json(folder / "vocab.json")
        lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
        pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    elif (folder / "tokenizer.json").is_file():
        bpe = _read_json(folder / "tokenizer.json").get("model", {})
        vocabulary = bpe.get("vocab", {})
        pairs = [m.split(" ") if isinstance(m, str) else m for m in bpe.get("merges", [])]
    else:
        return None
    merges = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
    if not all(type(number) is int for number in vocabulary.values()):
        raise CheckpointError("vocab.json has an id that is no whole number")
    ends = {config.get("eos_token_id"), config.get("bos_token_id")}
    special = [token for token, number in vocabulary.items() if number in ends]
    return Tokenizer(vocabulary, merges, special)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path.name} holds a {type(found).__name__}; expected an object")
    return found


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
