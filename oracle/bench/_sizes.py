"""The models that are measured: their shapes, and what a token of them costs."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Size:
    """layers, embd, heads, vocab: a GPT-2's. positions: some more than its 1,024, so that a token
    can follow a prompt of as many. text: how many bytes the tokenizers read. square: the rows of
    the square matrices whose product tells the machine's rate.
    """

    name: str
    layers: int
    embd: int
    heads: int
    vocab: int = 50257
    positions: int = 1088
    text: int = 10_000_000
    square: int = 2048


SIZES = {
    "small": Size("gpt2", 12, 768, 12),
    "tiny": Size("tiny", 2, 32, 4, vocab=211, text=20_000, square=128),
}
XL = Size("gpt2-xl", 48, 1600, 25)
TINY_XL = Size("tiny-xl", 4, 32, 4, vocab=211)


def xl_of(size: Size) -> Size:
    """The size that stands for GPT-2 XL."""
    return XL if size == SIZES["small"] else TINY_XL


def matrices(size: Size) -> list[tuple[int, int]]:
    """The matrices that each token is multiplied by, (in, out), but for the head."""
    embd = size.embd
    return [(embd, 3 * embd), (embd, embd), (embd, 4 * embd), (4 * embd, embd)] * size.layers


def weights_streamed(size: Size) -> int:
    """How many weights one decode step reads: all matrices, and the head.

    >>> weights_streamed(SIZES["small"])
    123532032
    """
    return sum(rows * columns for rows, columns in matrices(size)) + size.vocab * size.embd


def flops(size: Size, tokens: int) -> int:
    """Multiplications and additions of all products of a forward pass over so many tokens.

    Linear maps 2 n Σ in · out; attention's two products, the causal half of each,
    2 · 2 · n (n + 1) / 2 · embd a layer; one row of the head.

    >>> round(flops(SIZES["small"], 512) / 1e9, 1)
    91.9
    """
    linear = 2 * tokens * sum(rows * columns for rows, columns in matrices(size))
    looks = 2 * tokens * (tokens + 1) * size.embd * size.layers
    return linear + looks + 2 * size.vocab * size.embd


def shapes(size: Size) -> dict[str, tuple[int, ...]]:
    """Name, as GPT2LMHeadModel's, and shape of every tensor; the head is tied."""
    embd = size.embd
    maps = dict(
        zip(("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"), matrices(size), strict=False)
    )
    found: dict[str, tuple[int, ...]] = {
        "wte.weight": (size.vocab, embd),
        "wpe.weight": (size.positions, embd),
    }
    for layer in range(size.layers):
        for norm in ("ln_1", "ln_2"):
            found |= {f"h.{layer}.{norm}.{part}": (embd,) for part in ("weight", "bias")}
        for name, shape in maps.items():
            found[f"h.{layer}.{name}.weight"] = shape
            found[f"h.{layer}.{name}.bias"] = shape[-1:]
    found |= {"ln_f.weight": (embd,), "ln_f.bias": (embd,)}
    return {f"transformer.{name}": shape for name, shape in found.items()}


def config(size: Size) -> dict[str, Any]:
    """Hugging Face's config.json; nothing ends a text, so every text is as long as is asked for."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": size.vocab,
        "n_positions": size.positions,
        "n_embd": size.embd,
        "n_layer": size.layers,
        "n_head": size.heads,
        "bos_token_id": None,
        "eos_token_id": None,
    }
