"""Configuration of a checkpoint: from config.json, from the files of weights, or from both."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from npgpt._config import Config, from_json
from npgpt._quoting import kind
from npgpt.checkpoints._dialects import Translated
from npgpt.checkpoints._files import find, read_json_object
from npgpt.checkpoints._tensors import Weights
from npgpt.errors import CheckpointError, ConfigError

CONFIG = "config.json"
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_SAME_ACTIVATION = {"gelu_pytorch_tanh": "gelu_new", "swish": "silu"}

Fields = Mapping[str, Any]


def read_config_fields(folder: Path) -> dict[str, Any] | None:
    """What the config.json of a folder holds, or None where there is none.

    Raises CheckpointError or ConfigError where it is no GPT-2's.
    """
    path = find(folder, CONFIG)
    if path is None:
        return None
    fields = read_json_object(path)
    _parsed(fields, path)
    return fields


def agreed_config(
    beside: Fields | None, stored: Weights, translated: Translated, located: Path
) -> Config:
    """The config that config.json (its fields are `beside`) and the weights' own files state.

    Raises CheckpointError where neither states one, saying what config.json must hold, or where
    they state different things, naming both; ConfigError where what is stated is no GPT-2's.
    """
    own = stored.config
    folder = located.parent
    if own is None:
        if beside is None:
            raise CheckpointError(f"{folder}: {_needed(translated)}")
        return _parsed(beside, folder / CONFIG)
    assumed = {} if "activation_function" in own else translated.dialect.assumed
    if beside is None:
        return _parsed({**assumed, **own}, located)
    # Each fills in what the other does not say.
    config = _parsed({**assumed, **own, **beside}, folder / CONFIG)
    other = _parsed({**assumed, **beside, **own}, located)
    unlike = [
        (n, a, b) for n, a, b in config_differences(config, other) if n in own and n in beside
    ]
    if unlike:
        differing = "; ".join(
            f"{name} is {kind(one)} in {CONFIG} and {kind(two)} in the file"
            for name, one, two in unlike
        )
        raise CheckpointError(
            f"{located}: {differing}; take {CONFIG} and the weights from one place, or remove "
            f"{CONFIG}"
        )
    stated = {n: getattr(other, n) for n in _TOKEN_IDS if getattr(config, n) is None}
    return dataclasses.replace(config, **stated)


def _parsed(fields: Fields, where: Path) -> Config:
    try:
        return from_json(fields)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def config_differences(one: Config, other: Config) -> list[tuple[str, Any, Any]]:
    """The fields whose meaning differs, and what each has; a token id that one lacks is not one.

    >>> config_differences(Config(n_inner=3072), Config(n_layer=6))
    [('n_layer', 12, 6)]
    """
    differing = []
    for field in dataclasses.fields(Config):
        name = field.name
        a, b = getattr(one, name), getattr(other, name)
        if name in _TOKEN_IDS and None in (a, b):
            continue
        if _meaning(name, a, one) != _meaning(name, b, other):
            differing.append((name, a, b))
    return differing


def _meaning(name: str, value: Any, config: Config) -> Any:
    if name == "n_inner":
        return config.inner
    if name == "eos_token_id":
        return config.eos_token_ids
    if name == "layer_norm_epsilon":  # which some formats keep as a float32
        with np.errstate(over="ignore"):
            return float(np.float32(value))
    return _SAME_ACTIVATION.get(value, value) if isinstance(value, str) else value


def _needed(translated: Translated) -> str:
    """Why a config is needed, with one in which only n_head is left to fill in."""
    shapes = {name: tensor.data.shape for name, tensor in translated.tensors.items()}
    table = shapes.get("wte.weight", shapes.get("lm_head.weight", ()))
    positions = shapes.get("wpe.weight", ())
    reason = f"no {CONFIG} here; it says the model's sizes, which the weights do not"
    if len(table) != 2 or len(positions) != 2:
        return f"{reason}: fetch it from where the weights are from"
    layers = {name.split(".")[1] for name in shapes if name.startswith("h.")}
    fields = {
        "vocab_size": table[0],
        "n_positions": positions[0],
        "n_embd": table[1],
        "n_layer": len(layers),
    }
    activation = translated.dialect.assumed.get("activation_function")
    which = ""
    if activation is not None:
        fields["activation_function"] = activation
        which = (
            f", and {activation!r} is nanoGPT's since June 2023; before, and in minGPT, it was "
            "'gelu_new'"
        )
    all_but_heads = json.dumps(fields)[:-1]
    return (
        f"{reason}: fetch it from where the weights are from, or write into it {all_but_heads}, "
        f'"n_head": N}}, where N is how many heads the model was made with{which}'
    )
