"""Weights for a configuration: dicts from Hugging Face's tensor names to float32 arrays.

The values are float32, so the same weights, exactly, serve a float32 and a float64 computation.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from hypothesis import strategies as st

from oracle.strategies._arrays import MAX_SEED, Array, Shape
from oracle.strategies._configs import Config, inner_width

Kind: TypeAlias = Callable[[np.random.Generator, Config], dict[str, Array]]


class Weights(dict[str, Array]):
    """A dict from tensor name to array that prints as the call of `build_weights` that made it.

    So a failing example prints a line that remakes it, and not thousands of numbers.
    """

    def __init__(self, arrays: dict[str, Array], recipe: str) -> None:
        super().__init__(arrays)
        self.recipe = recipe

    def __repr__(self) -> str:
        return self.recipe


def weight_shapes(config: Config) -> dict[str, Shape]:
    """Name and shape of each tensor of a checkpoint, `lm_head.weight` only where it is untied."""
    embd, inner = config["n_embd"], inner_width(config)
    block = {
        "ln_1.weight": (embd,),
        "ln_1.bias": (embd,),
        "attn.c_attn.weight": (embd, 3 * embd),
        "attn.c_attn.bias": (3 * embd,),
        "attn.c_proj.weight": (embd, embd),
        "attn.c_proj.bias": (embd,),
        "ln_2.weight": (embd,),
        "ln_2.bias": (embd,),
        "mlp.c_fc.weight": (embd, inner),
        "mlp.c_fc.bias": (inner,),
        "mlp.c_proj.weight": (inner, embd),
        "mlp.c_proj.bias": (embd,),
    }
    shapes: dict[str, Shape] = {
        "wte.weight": (config["vocab_size"], embd),
        "wpe.weight": (config["n_positions"], embd),
    }
    for layer in range(config["n_layer"]):
        shapes |= {f"h.{layer}.{name}": shape for name, shape in block.items()}
    shapes |= {"ln_f.weight": (embd,), "ln_f.bias": (embd,)}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], embd)
    return shapes


def _is_gain(name: str) -> bool:
    return name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight"))


def _is_vocabulary(name: str) -> bool:
    return name in ("wte.weight", "lm_head.weight")


def _ordinary(rng: np.random.Generator, config: Config) -> dict[str, Array]:
    weights = {}
    for name, shape in weight_shapes(config).items():
        if name.endswith("bias"):
            weights[name] = np.zeros(shape)
        else:
            weights[name] = np.ones(shape) if _is_gain(name) else 0.02 * rng.standard_normal(shape)
    return weights


def _trained(rng: np.random.Generator, config: Config) -> dict[str, Array]:
    weights = {}
    for name, shape in weight_shapes(config).items():
        noise = rng.standard_normal(shape)
        if name.endswith("bias"):
            weights[name] = 0.2 * noise
        elif _is_gain(name):
            weights[name] = 1 + 0.3 * noise
        elif name in ("wte.weight", "wpe.weight", "lm_head.weight"):
            weights[name] = 0.5 * noise
        else:
            weights[name] = 1.5 * noise / np.sqrt(shape[0])
    return weights


def _outliers(rng: np.random.Generator, config: Config) -> dict[str, Array]:
    weights = _trained(rng, config)
    loud = rng.integers(0, config["n_embd"], 2)
    for name, array in weights.items():
        if name.endswith(("c_attn.weight", "c_fc.weight")):
            array *= np.clip(rng.standard_t(2, array.shape), -20, 20)
        elif (
            not _is_gain(name) and not _is_vocabulary(name) and array.shape[-1] == config["n_embd"]
        ):
            array[..., loud] *= 50
    return weights


def _tiny_variance(rng: np.random.Generator, config: Config) -> dict[str, Array]:
    weights = _trained(rng, config)
    for name, array in weights.items():
        if name in ("wte.weight", "wpe.weight") or ".c_proj." in name:
            array *= 10.0 ** rng.uniform(-4, -2)
            array += rng.standard_normal()  # the same for each feature: no variance
    return weights


def _huge_scores(rng: np.random.Generator, config: Config) -> dict[str, Array]:
    weights = _trained(rng, config)
    for layer in range(config["n_layer"]):
        # Queries and keys, not values: the scores grow by the square.
        growth = 10.0 ** rng.uniform(0.5, 2.5)
        weights[f"h.{layer}.attn.c_attn.weight"][:, : 2 * config["n_embd"]] *= growth
    return weights


def _ties(rng: np.random.Generator, config: Config) -> dict[str, Array]:
    weights = {
        name: rng.integers(-2, 3, shape) / 2 for name, shape in weight_shapes(config).items()
    }
    for name in filter(_is_vocabulary, weights):
        weights[name] = weights[name][np.arange(config["vocab_size"]) // 2]
    return weights


def _near_ties(rng: np.random.Generator, config: Config) -> dict[str, Array]:
    weights = _trained(rng, config)
    for name in filter(_is_vocabulary, weights):
        pairs = weights[name][np.arange(config["vocab_size"]) // 2].astype(np.float32)
        up = rng.random(pairs.shape) < 0.2
        weights[name] = np.where(up, np.nextafter(pairs, np.float32(np.inf)), pairs)
    return weights


def _subnormal(rng: np.random.Generator, config: Config) -> dict[str, Array]:
    weights = _trained(rng, config)
    for array in weights.values():
        if rng.random() < 0.4:
            array *= 2.0 ** rng.integers(-148, -120)
    return weights


# Simplest first: a failing example shrinks towards the first kind that still fails.
KINDS: dict[str, Kind] = {
    "ordinary": _ordinary,  # GPT-2's initialisation: 0.02, no biases, unit gains
    "trained": _trained,  # every tensor matters: biases, uneven gains, matrices that keep size
    "ties": _ties,  # halves from -1 to 1, vocabulary rows in equal pairs: logits tie exactly
    "near_ties": _near_ties,  # vocabulary rows in pairs one unit in the last place apart
    "tiny_variance": _tiny_variance,  # layer norm's epsilon outweighs or equals the variance
    "huge_scores": _huge_scores,  # attention scores from ten to a hundred thousand and beyond
    "outliers": _outliers,  # heavy tails, and two features that drown the others
    "subnormal": _subnormal,  # whole tensors near or below the smallest normal float32
}


def build_weights(kind: str, seed: int, config: Config) -> Weights:
    """The weights of `kind` (a key of `KINDS`) that `seed` makes: the same on every run.

    >>> config = {"n_embd": 2, "n_layer": 0, "vocab_size": 1, "n_positions": 1}
    >>> weights = build_weights("ordinary", 0, config | {"n_inner": 1, "tie_word_embeddings": True})
    >>> {name: array.astype(float).round(4).tolist() for name, array in weights.items()}
    ... # doctest: +NORMALIZE_WHITESPACE
    {'wte.weight': [[0.0025, -0.0026]], 'wpe.weight': [[0.0128, 0.0021]],
     'ln_f.weight': [1.0, 1.0], 'ln_f.bias': [0.0, 0.0]}
    """
    weights = KINDS[kind](np.random.default_rng(seed), config)
    return Weights(
        {name: array.astype(np.float32) for name, array in weights.items()},
        f"build_weights({kind!r}, {seed}, {config!r})",
    )


@st.composite
def weights(draw: st.DrawFn, config: Config, *, kinds: Sequence[str] = tuple(KINDS)) -> Weights:
    """Weights for `config` of any of `kinds`; shrinks towards ordinary weights and seed 0."""
    return build_weights(draw(st.sampled_from(kinds)), draw(st.integers(0, MAX_SEED)), config)
