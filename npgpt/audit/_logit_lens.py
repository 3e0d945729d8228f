"""Logit lens: the next token that the model would predict if it stopped at a depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npgpt._arrays import Array, Tokens, quiet
from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt._kernels.layer_norm import layer_norm
from npgpt._kernels.linear import linear
from npgpt._prompt import Prompt
from npgpt.audit._frozen_norm import Float64
from npgpt.audit._next_token import NO_TOKEN, Ids, likeliest
from npgpt.audit.sites import Site
from npgpt.model._parameters import Parameters
from npgpt.ops._softmax import softmax
from npgpt.trace import Recorder

_AT_ONCE = 64  # positions whose logits are held at one time
NO_RANK = -1


@dataclass(frozen=True, eq=False)
class LensReading:
    """What the model would predict at each depth, after some positions of a text.

    tokens (n,): the text's. positions (p,): those that are read. depths: sites, by their names, of
    which the last gives the model's own answer. top_tokens and probabilities (depth, p, k): the
    likeliest, of equal ones the lower id first. next_tokens (p,): what comes next in the text,
    `NO_TOKEN` at its end; next_ranks (depth, p), where 0 is the likeliest, and next_probabilities
    (depth, p): its. settled (p,): the first depth from which on the likeliest token is the model's.

    Where logits are NaN nothing is the likeliest: `NO_TOKEN`, -1 for what is settled, and likewise
    where there is no next token `NO_RANK`; probabilities are NaN.
    """

    tokens: Ids
    positions: Ids
    depths: tuple[str, ...]
    top_tokens: Ids
    probabilities: Float64
    next_tokens: Ids
    next_ranks: Ids
    next_probabilities: Float64

    @property
    def settled(self) -> Ids:
        """(p,)."""
        first = self.top_tokens[..., 0]
        differs = (first != first[-1]) | (first[-1] == NO_TOKEN)
        # After the last depth that differs; none may differ, and where all are NaN none is.
        last = len(first) - 1 - np.argmax(differs[::-1], axis=0)
        after = np.where(differs.any(axis=0), last + 1, 0)
        return np.where(first[-1] == NO_TOKEN, -1, after)


def lens(
    gpt: GPT, prompt: Prompt, positions: Sequence[int] | None = None, *, top: int = 5
) -> LensReading:
    """The logit lens of a text, at all depths, after some positions of it (default: after all)."""
    layers = gpt.config.n_layer
    stream = ("resid_pre", f"resid_post.{layers - 1}") if layers else ("*_embedding",)
    tokens = gpt.tokens(prompt)
    trace = gpt.trace(tokens, (*stream, "logits"))
    return read_lens(trace, tokens, gpt.parameters, gpt.config, positions, top=top)


def read_lens(
    trace: Recorder,
    tokens: Tokens,
    parameters: Parameters,
    config: Config,
    positions: Sequence[int] | None = None,
    *,
    top: int = 5,
) -> LensReading:
    """`lens` of the first row of a trace, which holds what `depths` takes, and the logits."""
    row = tokens[0]
    at = np.arange(len(row)) if positions is None else np.asarray(positions, np.intp)
    following = np.append(row, NO_TOKEN)[at + 1]
    streams = depths(trace, config)
    sizes = (len(streams), len(at))
    top = min(top, config.vocab_size)
    top_tokens = np.full((*sizes, top), NO_TOKEN)
    probabilities = np.full((*sizes, top), np.nan)
    next_ranks, next_probabilities = np.full(sizes, NO_RANK), np.full(sizes, np.nan)
    for depth, (_, residual) in enumerate(streams):
        for start in range(0, len(at), _AT_ONCE):
            block = slice(start, start + _AT_ONCE)
            logits = (
                trace["logits"][0, at[block]]
                if depth == len(streams) - 1
                else lens_logits(residual[:, at[block]], parameters, config)[0]
            )
            shares = softmax(logits.astype(np.float64)).astype(np.float64, copy=False)
            top_tokens[depth, block], probabilities[depth, block] = likeliest(
                logits, top, probabilities=shares
            )
            next_ranks[depth, block], next_probabilities[depth, block] = _ranked(
                logits, shares, following[block]
            )
    return LensReading(
        row,
        at,
        tuple(name for name, _ in streams),
        top_tokens,
        probabilities,
        following,
        next_ranks,
        next_probabilities,
    )


def _ranked(logits: Array, shares: Array, tokens: Ids) -> tuple[Ids, Float64]:
    """The rank and probability of each row's token: logits, shares (n, vocab), tokens (n,)."""
    own = np.take_along_axis(logits, np.maximum(tokens, 0)[:, None], axis=-1)
    ranks = np.count_nonzero(logits > own, axis=-1)
    share = np.take_along_axis(shares, np.maximum(tokens, 0)[:, None], axis=-1)[:, 0]
    is_ranked = (tokens != NO_TOKEN) & ~np.isnan(logits).any(axis=-1)
    return np.where(is_ranked, ranks, NO_RANK), np.where(is_ranked, share, np.nan)


def lens_logits(residual: Array, parameters: Parameters, config: Config) -> Array:
    """`ln_f(x) @ lm_headᵀ`: the logits of a residual stream at any depth.

    residual (batch, query, embd) -> (batch, query, vocab), in its dtype. That of the last
    resid_post, as it was computed, gives the model's logits, bit for bit.

    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".

    >>> import numpy as np
    >>> from npgpt.model._parameters import from_arrays, shapes
    >>> tiny = Config(vocab_size=3, n_positions=3, n_embd=2, n_head=1, n_layer=0)
    >>> ones = {name: np.ones(shape) for name, shape in shapes(tiny).items()}
    >>> weights = from_arrays(ones | {"wte.weight": np.array([[1.0, 0], [0, 1], [1, 1]])}, tiny)
    >>> lens_logits(np.array([[[7.0, -7.0]]]), weights, tiny).round(4)
    array([[[2., 0., 2.]]])
    """
    with quiet():
        normed = layer_norm(
            residual, parameters.ln_f.weight, parameters.ln_f.bias, eps=config.layer_norm_epsilon
        )
        return linear(normed, parameters.lm_head.weight.T, None)


def depths(trace: Recorder, config: Config) -> list[tuple[str, Array]]:
    """The residual stream before each block and after the last, by the names of their sites.

    The trace holds "resid_pre", and "resid_post" of the last layer. `"resid_pre 0" ..
    "resid_post 11"`: each (batch, query, embd). TransformerLens calls these 0_pre .. final_post.
    Without layers the stream is "token_embedding + position_embedding".
    """
    if config.n_layer == 0:
        both = ("token_embedding", "position_embedding")
        return [(" + ".join(both), trace[both[0]] + trace[both[1]])]
    sites = [Site("resid_pre", layer) for layer in range(config.n_layer)]
    sites.append(Site("resid_post", config.n_layer - 1))
    return [(str(site), trace[site.name, site.layer]) for site in sites]
