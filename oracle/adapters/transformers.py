"""transformers' GPT-2 as a subject: its own model, layers and logits processors.

`process` offers the settings that mean there what they mean here; docs/differences.md lists those
that do not.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.generation import logits_process as kit
from transformers.pytorch_utils import Conv1D

from oracle.adapters.pytorch import array
from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array

VERSION = tuple(int(part) for part in transformers.__version__.split(".")[:2])

# From a setting's value, and the ids of the end of text, to the class that acts on it.
PROCESSORS: Mapping[str, Callable[[Any, list[int]], Any]] = {
    "repetition_penalty": lambda v, eos: kit.RepetitionPenaltyLogitsProcessor(v),
    "no_repeat_ngram_size": lambda v, eos: kit.NoRepeatNGramLogitsProcessor(v),
    "min_length": lambda v, eos: kit.MinLengthLogitsProcessor(v, torch.tensor(eos)),
    "suppress_tokens": lambda v, eos: kit.SuppressTokensLogitsProcessor(v),
    "temperature": lambda v, eos: kit.TemperatureLogitsWarper(v),
    "top_k": lambda v, eos: kit.TopKLogitsWarper(v),
    "min_p": lambda v, eos: kit.MinPLogitsWarper(v),
    "epsilon_cutoff": lambda v, eos: kit.EpsilonLogitsWarper(v),
}
OPS: Mapping[str, Callable[..., Tensor]] = {
    "gelu_new": ACT2FN["gelu_new"],
    "gelu": ACT2FN["gelu"],
    "relu": ACT2FN["relu"],
    "silu": ACT2FN["silu"],
}


def subject(*, dtype: str = "float32", device: str = "cpu") -> Subject:
    """transformers in dtype on device, its attention the "eager" one, which honours every flag."""
    kind = getattr(torch, dtype)

    def tensor(values: Any) -> Tensor:
        found = torch.tensor(np.array(values), device=device)
        return found.to(kind) if found.is_floating_point() else found

    def build(config: Mapping[str, Any], weights: Mapping[str, Array]) -> Any:
        # In float64 it cannot run with this flag, which changes nothing in exact arithmetic.
        upcast = config["reorder_and_upcast_attn"] and dtype != "float64"
        no_tokens = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
        model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                **{**no_tokens, **config, "reorder_and_upcast_attn": upcast},
                attn_implementation="eager",
            )
        )
        tensors = {
            name if name == "lm_head.weight" else f"transformer.{name}": tensor(values)
            for name, values in weights.items()
        }
        if config["tie_word_embeddings"] and "wte.weight" in weights:
            tensors["lm_head.weight"] = tensors["transformer.wte.weight"]
        model.load_state_dict(tensors)  # complains of any name that is missing or unexpected
        return model.to(device, kind).eval()

    # Renamed in 5.24.
    forward = inspect.signature(transformers.GPT2LMHeadModel.forward).parameters
    past = "cache" if "cache" in forward else "past_key_values"

    @torch.no_grad()
    def run(config: Any, weights: Any, tokens: Array, mask: Array, cache: Any, keep: bool) -> Any:
        # Its forward takes positions as columns unless it is told them; its generate counts.
        positions = np.maximum(mask.cumsum(axis=1) - 1, 0)[:, mask.shape[1] - tokens.shape[1] :]
        output = build(config, weights)(
            tensor(tokens),
            attention_mask=tensor(mask.astype(np.int64)),
            position_ids=tensor(positions),
            use_cache=keep,
            **{past: cache},
        )
        return array(output.logits), getattr(output, past)

    def logits(config: Any, weights: Any, tokens: Array, mask: Array) -> Array:
        return run(config, weights, tokens, mask, None, keep=False)[0]

    def step(config: Any, weights: Any, tokens: Array, mask: Array, cache: Any) -> Any:
        return run(config, weights, tokens, mask, cache, keep=True)

    def op(function: Callable[..., Tensor]) -> Callable[..., Array]:
        return lambda *arrays, **options: array(function(*map(tensor, arrays), **options))

    return Subject(
        f"transformers {transformers.__version__} ({device})",
        dtype,
        logits=logits,
        step=step,
        ops={
            "layer_norm": op(torch.no_grad()(_layer_norm)),
            "linear": op(torch.no_grad()(_linear)),
            **{name: op(function) for name, function in OPS.items()},
        },
        process=process,
        settings=(*PROCESSORS, "eos_token_id"),
    )


def process(settings: dict[str, Any], tokens: Array, prompt_length: int, logits: Array) -> Array:
    """What transformers' classes make of logits."""
    eos = settings.get("eos_token_id", [])
    eos = [eos] if isinstance(eos, int) else list(eos)
    scores, ids = torch.tensor(logits), torch.tensor(tokens)
    for name, make in PROCESSORS.items():  # in the order in which it applies them
        if settings.get(name) is not None and (name != "min_length" or eos):
            scores = make(settings[name], eos)(ids, scores)
    return array(scores)


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor, *, eps: float) -> Tensor:
    return nn.functional.layer_norm(x, weight.shape, weight, bias, eps)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    layer = Conv1D(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer(x)
