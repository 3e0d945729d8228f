"""Bugs of cached steps: where new tokens stand, and what they may look at."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from oracle import model
from oracle.mutants._cache_calls import hiding, index, later, placed, reading
from oracle.mutants._mutant import Mutant
from oracle.mutants._padding import along
from oracle.mutants._wrapping import Call, model_bug
from oracle.ops._attention import causal_mask

_true_causal = causal_mask


def _restarted(call: Call, past: model.Past) -> Tensor:
    return (call.mask.cumsum(1) - 1).clamp(min=0)


def _no_position(call: Call, past: model.Past) -> model.Output:
    if call.tokens.shape[1] != 1:
        return call.run()
    table = call.weights["wpe.weight"]
    return call.run(weights={**call.weights, "wpe.weight": torch.zeros_like(table)})


def _rows_from_zero(query: int, key: int, *, device: Any = None) -> Tensor:
    return _true_causal(key, key, device=device)[:query]


def _only_new(query: int, key: int, *, device: Any = None) -> Tensor:
    mask = _true_causal(query, key, device=device).clone()
    mask[:, : key - query] = False
    return mask if query < key else _true_causal(query, key, device=device)


def _both_ways(query: int, key: int, *, device: Any = None) -> Tensor:
    mask = _true_causal(query, key, device=device)
    return torch.ones_like(mask) if query < key else mask


def _not_itself(query: int, key: int, *, device: Any = None) -> Tensor:
    mask = _true_causal(query, key, device=device)
    return mask.tril(key - query - 1) if query < key else mask


def _first_columns(call: Call, past: model.Past) -> model.Output:
    """The mask of all tokens is cut to the new ones at its wrong end."""
    return call.run(mask=call.all_mask[:, : call.mask.shape[1]], positions=call.places)


MUTANTS: tuple[Mutant, ...] = (
    model_bug(
        "cache-position-restart",
        "positions start again at 0 in the cached step",
        "ml-explore/mlx-lm#93",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        forward=placed(_restarted),
    ),
    model_bug(
        "cache-wpe-skipped",
        "the position embedding is left out for a single token",
        "ml-explore/mlx-lm#93",
        effect="other texts from the third cached token on",
        severity="text",
        area="cache",
        forward=later(_no_position),
    ),
    model_bug(
        "cache-position-late",
        "positions in the cached step are one too small",
        "",
        effect="other texts from the fifth cached token on",
        severity="text",
        area="cache",
        forward=placed(lambda call, past: (call.places - 1).clamp(min=0)),
    ),
    model_bug(
        "cache-position-ahead",
        "positions in the cached step are one too large",
        "microsoft/onnxruntime-genai#2354",
        effect="other texts from the fifth cached token on",
        severity="text",
        area="cache",
        forward=placed(lambda call, past: (call.places + 1).clamp(max=call.c["n_positions"] - 1)),
    ),
    model_bug(
        "cache-position-frozen",
        "every later token has the position of the prompt's last one",
        "",
        effect="other texts from the fifth cached token on",
        severity="text",
        area="cache",
        forward=placed(
            lambda call, past: (
                (past.mask.sum(1, keepdim=True) - 1).clamp(min=0).expand(call.tokens.shape)
            )
        ),
    ),
    model_bug(
        "cache-position-counts-pads",
        "positions in the cached step are the cache's length, padding included",
        "unslothai/unsloth#3803",
        effect="padded rows of a batch go astray at the first cached token",
        severity="text",
        area="cache",
        forward=placed(
            lambda call, past: along(call).clamp(max=call.c["n_positions"] - 1),
        ),
    ),
    model_bug(
        "cache-mask-rows",
        "the mask's columns are sliced where its rows are meant: new tokens see as the first do",
        "rasbt/LLMs-from-scratch#1048",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        causal_mask=_rows_from_zero,
    ),
    model_bug(
        "cache-mask-first-columns",
        "of the mask of all tokens the first columns are taken for the new tokens",
        "",
        effect="padded rows of a batch go astray at the first cached token",
        severity="text",
        area="cache",
        forward=later(_first_columns),
    ),
    model_bug(
        "cache-chunk-both-ways",
        "there is no causal mask where there is a cache, so a chunk's tokens see ahead",
        "Mikyx-1/TinyLLM#17",
        effect="nothing token by token; chunks of a prompt see ahead",
        severity="text",
        area="cache",
        causal_mask=_both_ways,
    ),
    model_bug(
        "cache-past-masked",
        "new tokens see only new tokens",
        "",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        causal_mask=_only_new,
    ),
    model_bug(
        "cache-newest-missing",
        "a new token's own key and value are appended only after it was computed",
        "",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        causal_mask=_not_itself,
    ),
    model_bug(
        "cache-past-mask-dropped",
        "the padding of earlier calls is forgotten, and attended to",
        "huggingface/transformers#4130",
        effect="padded rows of a batch attend to their padding",
        severity="text",
        area="cache",
        forward=reading(lambda past: replace(past, mask=torch.ones_like(past.mask))),
    ),
    model_bug(
        "cache-window",
        "only the last two tokens stay in the cache",
        "",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        forward=reading(hiding(lambda m: index(m) >= m.shape[1] - 2)),
    ),
    model_bug(
        "cache-first-dropped",
        "the first token falls out of the cache",
        "ml-explore/mlx-lm#1673",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        forward=reading(hiding(lambda m: index(m) > 0)),
    ),
    model_bug(
        "cache-last-overwritten",
        "the last token of the cache is overwritten by the first new one",
        "",
        effect="other texts from the second cached token on",
        severity="text",
        area="cache",
        forward=reading(hiding(lambda m: index(m) < m.shape[1] - 1)),
    ),
)
