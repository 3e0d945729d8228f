"""One model's weights in every dialect, as the programs of that dialect name and lay them out."""

import re
from collections.abc import Callable

import numpy as np
import torch

from npgpt._config import Config

Arrays = dict[str, np.ndarray]
MATRIX = re.compile(r"h\.\d+\.(attn|mlp)\.c_\w+\.weight")


def prefixed(arrays: Arrays, start: str = "transformer.") -> Arrays:
    return {n if n == "lm_head.weight" else start + n: a for n, a in arrays.items()}


def linear(arrays: Arrays) -> Arrays:
    """(out, in), as torch.nn.Linear has it."""
    return prefixed({n: a.T.copy() if MATRIX.fullmatch(n) else a for n, a in arrays.items()})


def wrapped(arrays: Arrays, start: str) -> Arrays:
    return {start + name: array for name, array in linear(arrays).items()}


def with_buffers(arrays: Arrays) -> Arrays:
    layers = {n.split(".")[1] for n in arrays if n.startswith("h.")}
    buffer = np.tril(np.ones((1, 1, 5, 5), np.float32))
    masks = {f"transformer.h.{i}.attn.bias": buffer for i in layers}
    return masks | linear(arrays) | {f"transformer.h.{i}.attn.mask": buffer for i in layers}


def openai(arrays: Arrays) -> Arrays:
    found = {}
    for name, array in arrays.items():
        path = re.sub(r"^h\.(\d+)\.", r"h\1.", name).split(".")
        if path == ["lm_head", "weight"]:
            continue
        letter = {"weight": "g" if "ln_" in name else "w", "bias": "b"}[path.pop()]
        short = path in (["wte"], ["wpe"])
        shaped = array[None] if MATRIX.fullmatch(name) else array
        found["/".join(["model", *path, *([] if short else [letter])])] = shaped
    return found


_GGUF = {
    "wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm", "lm_head": "output",
    "ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
}  # fmt: skip


def gguf(arrays: Arrays) -> Arrays:
    found = {}
    for name, array in arrays.items():
        block, place, kind = re.fullmatch(r"(?:h\.(\d+)\.)?(.+)\.(\w+)", name).groups()
        start = "" if block is None else f"blk.{block}."
        shaped = array.T.copy() if MATRIX.fullmatch(name) else array
        found[f"{start}{_GGUF[place]}.{kind}"] = shaped
    return found


DIALECTS: dict[str, tuple[str, Callable[[Arrays], Arrays]]] = {
    "bare": ("Hugging Face", dict),
    "prefixed": ("Hugging Face", prefixed),
    "wrapped by DDP": (
        "Hugging Face",
        lambda a: {f"module.{n}": v for n, v in prefixed(a).items()},
    ),
    "linear": ("nanoGPT or minGPT", linear),
    "compiled": ("nanoGPT or minGPT", lambda a: wrapped(a, "_orig_mod.")),
    "both": ("nanoGPT or minGPT", lambda a: wrapped(a, "module._orig_mod.")),
    "buffers": ("nanoGPT or minGPT", with_buffers),
    "OpenAI": ("OpenAI", openai),
    "GGUF": ("GGUF", gguf),
}


class Block(torch.nn.Module):
    """The parts of a layer, by nanoGPT's names."""

    def __init__(self, embd: int, inner: int, bias: bool) -> None:
        super().__init__()
        self.ln_1 = torch.nn.LayerNorm(embd, bias=bias)
        self.attn = torch.nn.ModuleDict(
            {
                "c_attn": torch.nn.Linear(embd, 3 * embd, bias=bias),
                "c_proj": torch.nn.Linear(embd, embd, bias=bias),
            }
        )
        self.attn.register_buffer("bias", torch.ones(1, 1, 2, 2))
        self.ln_2 = torch.nn.LayerNorm(embd, bias=bias)
        self.mlp = torch.nn.ModuleDict(
            {
                "c_fc": torch.nn.Linear(embd, inner, bias=bias),
                "c_proj": torch.nn.Linear(inner, embd, bias=bias),
            }
        )


class NanoGPT(torch.nn.Module):
    """A model whose state dict is one of nanoGPT's, as torch itself names and lays it out."""

    def __init__(self, config: Config, *, bias: bool = True) -> None:
        super().__init__()
        embd = config.n_embd
        self.transformer = torch.nn.ModuleDict(
            {
                "wte": torch.nn.Embedding(config.vocab_size, embd),
                "wpe": torch.nn.Embedding(config.n_positions, embd),
                "h": torch.nn.ModuleList(
                    Block(embd, config.inner, bias) for _ in range(config.n_layer)
                ),
                "ln_f": torch.nn.LayerNorm(embd, bias=bias),
            }
        )
        self.lm_head = torch.nn.Linear(embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.transformer["wte"].weight

    def take(self, arrays: Arrays) -> "NanoGPT":
        """The weights of a Hugging Face model, put in by way of torch's own parameters."""
        parameters = dict(self.transformer.named_parameters())
        with torch.no_grad():
            for name, parameter in parameters.items():
                array = torch.from_numpy(np.array(arrays[name]))
                parameter.copy_(array.T if MATRIX.fullmatch(name) else array)
        return self


def model_args(config: Config, **changes: object) -> dict[str, object]:
    """What nanoGPT's train.py saves of the sizes."""
    return {
        "n_layer": config.n_layer, "n_head": config.n_head, "n_embd": config.n_embd,
        "block_size": config.n_positions, "bias": True, "vocab_size": config.vocab_size,
        "dropout": 0.0,
    } | changes  # fmt: skip
