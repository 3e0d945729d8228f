"""Bugs of the number that attention's scores are multiplied by."""

import math
from collections.abc import Callable
from typing import Any

from oracle import model
from oracle.mutants._mutant import Mutant
from oracle.mutants._wrapping import model_bug

_true_scale = model._scale


def _scale_by(number: Callable[[Any], float]) -> Callable[[Any, int], float]:
    """The scale with number(config) in the place of head_dim."""

    def scale(c: Any, i: int) -> float:
        root = math.sqrt(c["n_embd"] // c["n_head"] / number(c))
        return _true_scale(c, i) * (root if c["scale_attn_weights"] else 1)

    return scale


def _scale_inverted(c: Any, i: int) -> float:
    layer = _true_scale({**c, "scale_attn_weights": False}, i)
    return layer * (math.sqrt(c["n_embd"] // c["n_head"]) if c["scale_attn_weights"] else 1)


def _layer_off(c: Any, i: int) -> float:
    factor = (i + 1) / max(1, i) if c["scale_attn_by_inverse_layer_idx"] else 1
    return _true_scale(c, i) * factor


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "scale-flags-ignored",
        "scale_attn_weights and scale_attn_by_inverse_layer_idx are not honoured",
        "huggingface/transformers#44380",
        effect="nothing with the released switches; other logits with others",
        severity="text",
        _scale=lambda c, i: 1 / math.sqrt(c["n_embd"] // c["n_head"]),
    ),
    model_bug(
        "scale-twice",
        "attention is scaled twice",
        "huggingface/transformers#38290",
        effect="logits off by 4.9, perplexity +23 %",
        severity="text",
        _scale=lambda c, i: _true_scale(c, i) ** 2,
    ),
    model_bug(
        "scale-missing",
        "attention is not scaled",
        "mlc-ai/mlc-llm#3426",
        effect="logits off by 8.4, perplexity × 4",
        severity="text",
        _scale=lambda c, i: 1.0,
    ),
    model_bug(
        "scale-by-embd",
        "attention is scaled by the root of n_embd, not of the width of a head",
        "lucidrains/vit-pytorch#65",
        effect="logits off by 2.7, perplexity +5 %",
        severity="text",
        _scale=_scale_by(lambda c: c["n_embd"]),
    ),
    model_bug(
        "scale-by-heads",
        "attention is scaled by the root of the number of heads, not of their width",
        "tenstorrent/tt-metal#56789",
        effect="logits off by 6.6, perplexity × 2",
        severity="text",
        _scale=_scale_by(lambda c: c["n_head"]),
    ),
    model_bug(
        "scale-no-root",
        "attention is scaled by the width of a head, not by its root",
        "delzac/cntkx#10",
        effect="logits off by 4.9, perplexity +23 %",
        severity="text",
        _scale=_scale_by(lambda c: (c["n_embd"] // c["n_head"]) ** 2),
    ),
    model_bug(
        "scale-inverted",
        "scores are multiplied by the root of the width where they are to be divided",
        "esceptico/perceiver-io#9",
        effect="logits off by 11, perplexity × 5",
        severity="text",
        _scale=_scale_inverted,
    ),
    model_bug(
        "scale-layer-off-by-one",
        "the inverse layer index counts from 0, and the first layer as 1",
        "",
        effect="nothing with the released switches; other logits with others",
        severity="text",
        _scale=_layer_off,
    ),
)
