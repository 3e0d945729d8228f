"""Sweeps: the same pass many times, each with another part patched: where does it matter?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

from npgpt._arrays import Array, Tokens
from npgpt._config import Config
from npgpt.audit._frozen_norm import Float64
from npgpt.audit.interventions import patch
from npgpt.audit.sites import head, site
from npgpt.errors import SettingError
from npgpt.model._forward import forward
from npgpt.model._parameters import Parameters
from npgpt.ops._softmax import softmax
from npgpt.trace import NAMES, Recorder, Selective, Tap, compose, discard

__all__ = [
    "Metric",
    "Run",
    "corrupt",
    "logit_difference",
    "patch_heads",
    "patch_positions",
    "probability",
    "runner",
    "sweep",
]

Metric: TypeAlias = Callable[[Array], float]  # of logits (batch, query, vocab)
Run: TypeAlias = Callable[[Tap], float]


def logit_difference(right: int, wrong: int) -> Metric:
    """How far the last position's logit of one token is above another's, the mean of the rows.

    >>> logit_difference(0, 2)(np.array([[[5.0, 1.0, 2.0]]]))
    3.0
    """
    return lambda logits: float(np.mean(logits[:, -1, right] - logits[:, -1, wrong]))


def probability(token: int) -> Metric:
    """The probability of a token after the last position, the mean of the rows."""
    return lambda logits: float(softmax(logits[:, -1].astype(np.float64))[:, token].mean())


def runner(tokens: Tokens, parameters: Parameters, config: Config, metric: Metric) -> Run:
    """`tap ->` the metric of the forward pass on these tokens (batch, query) with this tap."""
    return lambda tap: metric(forward(tokens, parameters, config, tap=tap).logits)


def sweep(run: Run, taps: Iterable[Tap], *, before: Tap = discard) -> Float64:
    """The metric of a run with each tap in turn, each after `before`: (taps,)."""
    return np.array([run(compose(before, tap)) for tap in taps], np.float64)


def patch_positions(
    run: Run,
    source: Recorder,
    config: Config,
    *,
    name: str = "resid_pre",
    window: int = 1,
    before: Tap = discard,
) -> Float64:
    """Activation patching: the metric with one layer and position taken from another trace.

    source holds `name`, with an axis query, of every layer, of rows as long as the run's.
    -> (layer, query). With `window`, up to so many layers around the layer are patched at once, of
    an even number more below it than above, as in Meng et al.'s code.

    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT"; Zhang & Nanda
    2023, "Towards Best Practices of Activation Patching".
    """
    if config.n_layer == 0:
        return np.zeros((0, 0))
    site(config, name, 0, position=0)
    if type(window) is not int or window < 1:
        raise SettingError(f"window is {window!r}; give 1 or more layers")
    axis = NAMES[name].axes.split().index("query")
    positions = range(source[name, 0].shape[axis])

    def around(layer: int, position: int) -> Tap:
        first = max(layer - window // 2, 0)
        layers = range(first, min(layer + (window + 1) // 2, config.n_layer))
        return compose(
            *(patch(site(config, name, each, position=position), source) for each in layers)
        )

    taps = (around(layer, position) for layer in range(config.n_layer) for position in positions)
    return sweep(run, taps, before=before).reshape(config.n_layer, len(positions))


def patch_heads(run: Run, source: Recorder, config: Config, *, before: Tap = discard) -> Float64:
    """Activation patching of each head's output ("head_out") at all positions: (layer, head)."""
    taps = (
        patch(head(config, layer, number), source)
        for layer in range(config.n_layer)
        for number in range(config.n_head)
    )
    return sweep(run, taps, before=before).reshape(config.n_layer, config.n_head)


def corrupt(config: Config, positions: Iterable[int], *, scale: float, seed: int) -> Tap:
    """Noise of a standard deviation of `scale` on the token embeddings at some positions.

    Causal tracing is `patch_positions(..., before=corrupt(...))` from the trace of the run without
    noise: what restores the answer, once the subject is corrupted, carried it. Each call, and each
    row of a batch alone, gets the same noise.

    Source: Meng et al. 2022, where scale is three times the standard deviation of the embeddings.
    """
    places = [site(config, "token_embedding", position=position) for position in positions]
    noise = scale * np.random.default_rng(seed).standard_normal((len(places), config.n_embd))

    def tap(name: str, layer: int | None, array: Array) -> Array:
        changed = array.copy()
        for where, vector in zip(places, noise, strict=True):
            where.of(changed)  # is the position there?
            changed[where.index] += vector.astype(array.dtype)
        return changed

    return Selective(tap, lambda name, _: name == "token_embedding")
