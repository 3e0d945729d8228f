"""The oracle's own PyTorch code as subjects, on any device and in any dtype."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from oracle import model, perplexity, tokenizer
from oracle.adapters import pytorch_decoding
from oracle.adapters.subject import Subject
from oracle.bounds._rounding import Array
from oracle.decoding._filters import FILTERS
from oracle.decoding._pipeline import PROCESSORS
from oracle.fast._inference import Inference
from oracle.ops._softmax import log_softmax, softmax
from oracle.strategies._decoding_problems import DECODERS, settings_of

SETTINGS = tuple(
    dict.fromkeys(
        [
            *(*PROCESSORS, "temperature", *FILTERS, "allowed_special"),
            *(setting for decoder in DECODERS for setting in settings_of(decoder)),
        ]
    )
)


def subject(*, dtype: str = "float32", device: str = "cpu") -> Subject:
    """PyTorch's GPT-2 computing in dtype on device.

    Decoding is float64 on the CPU whatever the dtype: it starts from float64 logits. On CUDA, TF32
    is off. The functions look up what they call each time, so a mutant acts on them.
    """
    kind = getattr(torch, dtype)

    def tensor(array: Any) -> Tensor:
        found = torch.tensor(np.array(array), device=device)
        return found.to(kind) if found.is_floating_point() else found

    def logits(config: Any, weights: Any, tokens: Array, mask: Array) -> Array:
        return step(config, weights, tokens, mask, None)[0]

    @torch.no_grad()
    def step(config: Any, weights: Any, tokens: Array, mask: Array, cache: Any) -> Any:
        tensors = {name: tensor(array) for name, array in weights.items()}
        new = mask[:, mask.shape[1] - tokens.shape[1] :]
        output = model.forward(tensors, config, tensor(tokens), mask=tensor(new), past=cache)
        return array(output.logits), output.past

    def surprise(config: Any, weights: Any, tokens: Array, stride: int) -> float:
        tensors = {name: tensor(array) for name, array in weights.items()}
        return perplexity.perplexity(tensors, config, [int(t) for t in tokens], stride)

    def op(function: Any) -> Any:
        def run(*arrays: Array, **options: Any) -> Array:
            known = {n: tensor(v) if isinstance(v, np.ndarray) else v for n, v in options.items()}
            return array(function(*map(tensor, arrays), **known))

        return run

    return Subject(
        f"oracle (PyTorch {torch.__version__}, {device})",
        dtype,
        logits=logits,
        step=step,
        ops={
            "embedding": op(lambda *a: model.embedding(*a)),
            "linear": op(lambda *a: model.linear(*a)),
            "layer_norm": op(lambda *a, eps: model.layer_norm(*a, eps=eps)),
            "softmax": op(softmax),
            "log_softmax": op(log_softmax),
            "attention": op(lambda *a, mask, scale: model.attention(*a, mask=mask, scale=scale)),
        }
        | {name: op(lambda x, n=name: model.ACTIVATIONS[n](x)) for name in model.ACTIVATIONS},
        process=pytorch_decoding.process,
        generate=pytorch_decoding.generate,
        draw=pytorch_decoding.draw,
        encode=lambda *given, **leave: tokenizer.encode(*given, **leave),
        decode=lambda vocabulary, merges, ids: tokenizer.decode(vocabulary, merges, ids),
        perplexity=surprise,
        decoders=DECODERS,
        settings=SETTINGS,
    )


def fast(*, dtype: str = "float32", device: str = "cpu") -> Subject:
    """The fast path, `oracle.fast._inference`: logits and steps.

    A cache has a column for each position. A single column of real tokens is read by
    `Inference.step`, so on CUDA by a graph; all else by `Inference.extend`.
    """

    def begun(config: Any, weights: Any, shape: tuple[int, int]) -> Inference:
        tensors = {name: torch.tensor(np.array(value)) for name, value in weights.items()}
        batch, length = shape
        kind = getattr(torch, dtype)
        return Inference(tensors, config, batch=batch, length=length, dtype=kind, device=device)

    def logits(config: Any, weights: Any, tokens: Array, mask: Array) -> Array:
        return array(begun(config, weights, tokens.shape).extend(tokens.tolist(), mask.tolist()))

    def step(config: Any, weights: Any, tokens: Array, mask: Array, cache: Any) -> Any:
        batch, query = tokens.shape
        new = mask[:, mask.shape[1] - query :]
        if cache is None:
            limit = {**model.DEFAULTS, **config}["n_positions"]
            cache = begun(config, weights, (batch, limit))
        elif query == 1 and new.all():
            return array(cache.step(tokens[:, 0].tolist()))[:, None], cache
        return array(cache.extend(tokens.tolist(), new.tolist())), cache

    name = f"oracle's fast path (PyTorch {torch.__version__}, {device})"
    return Subject(name, dtype, logits=logits, step=step)


def array(tensor: Tensor) -> Array:
    """As NumPy has it; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
