"""Parameters: the weights of a GPT-2, a frozen tree with the field names of the checkpoints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from npgpt._arrays import Array
from npgpt._config import Config
from npgpt._quoting import several
from npgpt.errors import CheckpointError

Shapes = dict[str, tuple[int, ...]]
NARROW = ("float16", "uint16")  # what matrices may be kept in; uint16 holds bfloat16's bits


@dataclass(frozen=True, eq=False)
class Embedding:
    """A table: weight (rows, embd)."""

    weight: Array

    def __repr__(self) -> str:
        return f"Embedding({_size(self.weight)})"


@dataclass(frozen=True, eq=False)
class Affine:
    """Weight and bias: of a linear map, (in, out) and (out); of a layer norm, (embd) both."""

    weight: Array
    bias: Array

    def __repr__(self) -> str:
        return f"Affine({_size(self.weight)})"


@dataclass(frozen=True, eq=False)
class Attention:
    """`c_attn` makes query, key and value side by side; `c_proj` mixes the heads' outputs."""

    c_attn: Affine
    c_proj: Affine


@dataclass(frozen=True, eq=False)
class MLP:
    """`c_fc` widens, `c_proj` narrows."""

    c_fc: Affine
    c_proj: Affine


@dataclass(frozen=True, eq=False)
class Block:
    """One layer of the transformer."""

    ln_1: Affine
    attn: Attention
    ln_2: Affine
    mlp: MLP


@dataclass(frozen=True, eq=False)
class Parameters:
    """All weights. Where the head is tied, `lm_head` is `wte` itself.

    Two trees are equal where they are one and the same.

    Matrices may be kept in 16 bits, as float16 or, for bfloat16, its bits in a uint16;
    `kernels.mixed_gemm` upcasts them as they are used.
    """

    wte: Embedding
    wpe: Embedding
    h: Sequence[Block]
    ln_f: Affine
    lm_head: Embedding

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the model computes in, float32 or float64."""
        return self.ln_f.weight.dtype

    def __repr__(self) -> str:
        head = "tied" if self.lm_head is self.wte else repr(self.lm_head)
        return (
            f"Parameters(wte={self.wte}, wpe={self.wpe}, h={len(self.h)} blocks, "
            f"ln_f={self.ln_f}, lm_head={head})"
        )


def _size(array: Array) -> str:
    """What stands for an array where its numbers would fill screens: "768 × 2304, float32"."""
    kind = "bfloat16" if array.dtype == np.uint16 else array.dtype.name
    return f"{' × '.join(map(str, array.shape))}, {kind}"


def shapes(config: Config) -> Shapes:
    """Name and shape of every tensor that a checkpoint of this configuration holds.

    >>> from npgpt._config import Config
    >>> tiny = shapes(Config(vocab_size=5, n_positions=3, n_embd=2, n_head=1, n_layer=1))
    >>> tiny["h.0.attn.c_attn.weight"], len(tiny)
    ((2, 6), 16)
    """
    embd, inner = config.n_embd, config.inner
    named: Shapes = {
        "wte.weight": (config.vocab_size, embd),
        "wpe.weight": (config.n_positions, embd),
    }
    for layer in range(config.n_layer):
        for name, shape in (
            ("ln_1", (embd,)),
            ("attn.c_attn", (embd, 3 * embd)),
            ("attn.c_proj", (embd, embd)),
            ("ln_2", (embd,)),
            ("mlp.c_fc", (embd, inner)),
            ("mlp.c_proj", (inner, embd)),
        ):
            named[f"h.{layer}.{name}.weight"] = shape
            named[f"h.{layer}.{name}.bias"] = shape[-1:]
    named["ln_f.weight"] = named["ln_f.bias"] = (embd,)
    if not config.tie_word_embeddings:
        named["lm_head.weight"] = (config.vocab_size, embd)
    return named


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], config: Config) -> Parameters:
    """The parameter tree of arrays named and shaped as in `shapes(config)`, without copying them.

    All must share one dtype, float32 or float64, which is what the model computes in; but any
    matrix may be float16, or uint16 for the bits of bfloat16. Raises CheckpointError, once, with
    the number of tensors that are missing, unexpected or mis-shaped, and the first 20 of each.
    """
    expected = shapes(config)
    missing = [f"{name} is missing" for name in expected if name not in arrays]
    unexpected = [f"{name} is not expected" for name in arrays if name not in expected]
    misshapen = [
        f"{name} has shape {arrays[name].shape}, not {shape}"
        for name, shape in expected.items()
        if name in arrays and arrays[name].shape != shape
    ]
    problems = [names for names in (missing, unexpected, misshapen) if names]
    if problems:
        raise CheckpointError(
            f"the tensors are not those of the config ({sum(map(len, problems))} differ): "
            + "; ".join(map(several, problems))
        )
    wide = {str(a.dtype) for a in arrays.values() if a.ndim < 2 or a.dtype.name not in NARROW}
    if len(wide) != 1 or not wide <= {"float32", "float64"}:
        raise CheckpointError(
            f"the tensors are {', '.join(sorted(wide))}; convert all of them to float32 or to "
            "float64 (matrices may be float16)"
        )

    def affine(name: str) -> Affine:
        return Affine(arrays[f"{name}.weight"], arrays[f"{name}.bias"])

    def block(name: str) -> Block:
        return Block(
            affine(f"{name}.ln_1"),
            Attention(affine(f"{name}.attn.c_attn"), affine(f"{name}.attn.c_proj")),
            affine(f"{name}.ln_2"),
            MLP(affine(f"{name}.mlp.c_fc"), affine(f"{name}.mlp.c_proj")),
        )

    wte = Embedding(arrays["wte.weight"])
    return Parameters(
        wte=wte,
        wpe=Embedding(arrays["wpe.weight"]),
        h=tuple(block(f"h.{layer}") for layer in range(config.n_layer)),
        ln_f=affine("ln_f"),
        lm_head=wte if config.tie_word_embeddings else Embedding(arrays["lm_head.weight"]),
    )


def to_arrays(parameters: Parameters) -> dict[str, Array]:
    """Every tensor by its name: the inverse of `from_arrays`. A tied head is not listed."""
    arrays = dict(_leaves(parameters, ""))
    if parameters.lm_head is parameters.wte:
        del arrays["lm_head.weight"]
    return arrays


def weights(block: Block) -> Iterator[Array]:
    """Every tensor of a layer."""
    return (array for _, array in _leaves(block, ""))


def _leaves(node: object, name: str) -> Iterator[tuple[str, Array]]:
    if isinstance(node, np.ndarray):
        yield name, node
        return
    # By index: going through layers makes room for them.
    children = (
        ((index, node[index]) for index in range(len(node)))
        if isinstance(node, Sequence)
        else vars(node).items()
    )
    for key, child in children:
        yield from _leaves(child, f"{name}.{key}" if name else str(key))
