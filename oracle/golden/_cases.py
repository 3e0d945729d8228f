"""The small models of the golden vectors: what each is for, and what is put through it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oracle.bounds._rounding import Array
from oracle.strategies._configs import Config
from oracle.strategies._tokens import Batch, build_batch
from oracle.strategies._weights import Weights, build_weights

RELEASED: Mapping[str, Any] = {
    "vocab_size": 11,
    "n_positions": 8,
    "n_embd": 8,
    "n_layer": 2,
    "n_head": 2,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class ModelCase:
    """A model, `changes` of RELEASED, and a batch for it, made from these names and seed 0.

    chunks: sizes of pieces that the rows are also read in, with a cache. stride: that of a
    perplexity of a text of `text` tokens; 0 for none.
    """

    id: str
    purpose: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "trained"
    lengths: tuple[int, ...] = (5,)
    padding: str = "none"
    width: int = 0
    chunks: tuple[int, ...] = ()
    text: int = 0
    stride: int = 0

    @property
    def config(self) -> Config:
        """Every field."""
        return {**RELEASED, **self.changes}

    @property
    def weights(self) -> Weights:
        """Float32."""
        return build_weights(self.kind, 0, self.config)

    @property
    def batch(self) -> Batch:
        """Tokens and mask."""
        width = self.width or max(self.lengths)
        return build_batch(self.padding, 0, self.lengths, width, self.config["vocab_size"])

    @property
    def text_tokens(self) -> Array:
        """The text of the perplexity, (text,)."""
        return np.random.default_rng(1).integers(0, self.config["vocab_size"], self.text)


def _one_layer(name: str) -> ModelCase:
    changes = {"n_layer": 1, "activation_function": name}
    return ModelCase(f"activation-{name}", f"the activation function {name}", changes)


MODELS = (
    ModelCase(
        "smallest",
        "one layer, one head: start here",
        {"n_layer": 1, "n_head": 1, "n_embd": 4, "vocab_size": 5},
        lengths=(3,),
    ),
    ModelCase("two-heads", "two layers, two heads, all switches as released"),
    ModelCase("no-layers", "embeddings, the last layer norm and the head alone", {"n_layer": 0}),
    ModelCase(
        "odd-sizes",
        "no size divides another: a matrix used transposed shows",
        {"n_embd": 15, "n_head": 3, "n_inner": 7, "vocab_size": 13, "n_positions": 9},
    ),
    ModelCase("width-1", "layer norms of one feature", {"n_embd": 1, "n_head": 1, "n_inner": 3}),
    _one_layer("gelu"),
    _one_layer("relu"),
    _one_layer("silu"),
    ModelCase(
        "scale-flags",
        "scores not scaled by the width, but by the layer",
        {"scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True},
    ),
    ModelCase("untied-head", "a head of its own", {"tie_word_embeddings": False}),
    ModelCase("padded-left", "padding before the rows", {}, "trained", (2, 5), "left", 6),
    ModelCase("padded-right", "padding after the rows", {}, "trained", (2, 5), "right", 6),
    ModelCase("padded-middle", "padding between tokens", {}, "trained", (3, 5), "middle", 6),
    ModelCase("tiny-variance", "the epsilon of the layer norms counts", {}, "tiny_variance"),
    ModelCase("huge-scores", "attention scores of thousands", {}, "huge_scores"),
    ModelCase("ties", "logits that tie exactly: the lowest id is chosen", {}, "ties"),
    ModelCase(
        "twelve-layers",
        "as deep as the smallest released model; layers taken as 0, 1, 10, 11, 2 show",
        {"n_layer": 12, "n_embd": 4, "n_head": 2},
    ),
    ModelCase(
        "in-pieces", "rows read in pieces, with a cache", {}, lengths=(6, 6), chunks=(3, 1, 2)
    ),
    ModelCase(
        "perplexity",
        "a text of more than two contexts, in overlapping windows",
        {"n_positions": 6},
        text=15,
        stride=4,
    ),
)


@dataclass(frozen=True)
class DecoderCase:
    """Settings under Hugging Face's names, and the prompt that goes on."""

    decoder: str
    settings: Mapping[str, Any]
    draws: int = 0

    def uniforms(self, steps: int) -> Array | None:
        """(1, steps), or in beam sampling (1, steps, draws); None where nothing is drawn."""
        if not self.settings.get("do_sample"):
            return None
        shape = (1, steps, self.draws) if self.draws else (1, steps)
        # Eighths are exact in any format that a reader may have.
        return (np.random.default_rng(0).integers(0, 64, shape) * 2 + 1) / 128


NEW = 3
DECODERS = (
    DecoderCase("greedy", {}),
    DecoderCase("sampling", {"do_sample": True, "temperature": 0.75, "top_k": 6, "top_p": 0.9}),
    DecoderCase("beam search", {"num_beams": 3, "length_penalty": 0.5}),
    DecoderCase("beam sampling", {"num_beams": 2, "do_sample": True}, 4),
    DecoderCase(
        "diverse beam search", {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}
    ),
    DecoderCase("constrained beam search", {"num_beams": 3, "force_words_ids": [[1]]}),
    DecoderCase("contrastive search", {"penalty_alpha": 0.5, "top_k": 3}),
    DecoderCase("speculative decoding", {"prompt_lookup_num_tokens": 2}),
)
