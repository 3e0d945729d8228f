"""Activation patching, ablation, causal tracing: a text run again with sites changed.

`interventions` has the taps and `sweeps` the repeated runs; here they are asked of a model, a text
and a metric, together with what makes the effect of a change a number from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from npgpt._arrays import quiet
from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt._prompt import Prompt
from npgpt.audit import interventions, sweeps
from npgpt.audit._frozen_norm import Float64
from npgpt.audit._next_token import Ids
from npgpt.audit.sites import Site, site
from npgpt.errors import SettingError
from npgpt.trace import Tap, compose, discard

_NOISE = 3.0  # times the standard deviation of the embeddings, as in Meng et al. 2022
Groups = tuple[Sequence[Sequence[Site]], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Change:
    """What sites are changed to in runs on a text.

    kind: "patch", "zero", "mean" or "restore". to: the tap that changes a site; before: one that
    comes first. target: the metric of the run that parts are taken from, if there is one. source:
    the tokens of the other text. corrupted, noise, seed: those of "restore".
    """

    kind: str
    to: Callable[[Site], Tap]
    before: Tap = discard
    target: float | None = None
    source: Ids | None = None
    corrupted: tuple[int, ...] | None = None
    noise: float | None = None
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class PatchReading:
    """The metric of each changed run: values, and what they mean, effects, of the same shape.

    unpatched: the metric before sites are changed. Where there is a target, an effect is 0 for
    unpatched and 1 for the target, NaN if these are equal; else it is value − unpatched.
    """

    tokens: Ids
    change: Change
    unpatched: float
    values: Float64
    effects: Float64


def patched_from(
    gpt: GPT, prompt: Prompt, source: Prompt, names: Sequence[str], metric: sweeps.Metric
) -> Change:
    """Activation patching: sites of these activations taken from the run on another text.

    Raises SettingError unless both have as many tokens.
    """
    tokens, others = gpt.tokens(prompt), gpt.tokens(source)
    if tokens.shape != others.shape:
        raise SettingError(
            f"the text has {tokens.shape[1]} tokens, the source {others.shape[1]}; give texts of "
            "as many tokens"
        )
    with quiet():
        reference = gpt.trace(others, (*names, "logits"))
        target = metric(reference["logits"])
    return Change(
        "patch",
        lambda where: interventions.patch(where, reference),
        target=target,
        source=others[0],
    )


def ablated_to_zero(gpt: GPT) -> Change:
    """Zero ablation."""
    return Change("zero", lambda where: interventions.zero(where, gpt.parameters))


def ablated_to_mean(
    gpt: GPT, prompt: Prompt, names: Sequence[str], source: Prompt | None = None
) -> Change:
    """Mean ablation: the mean over the positions of the run on another text (default: the text)."""
    reference = gpt.trace(prompt if source is None else source, names)
    others = None if source is None else gpt.tokens(source)[0]
    return Change("mean", lambda where: interventions.mean(where, reference), source=others)


def restored(
    gpt: GPT,
    prompt: Prompt,
    corrupted: Sequence[int],
    names: Sequence[str],
    metric: sweeps.Metric,
    *,
    noise: float | None = None,
    seed: int = 0,
) -> Change:
    """Causal tracing: sites of the clean run put back into one with noise on some embeddings.

    corrupted: positions, from 0 on. noise: its standard deviation (default: three times that of the
    text's token embeddings).

    Source: Meng et al. 2022, "Locating and Editing Factual Associations in GPT".
    """
    with quiet():
        clean = gpt.trace(prompt, (*names, "token_embedding", "logits"))
        target = metric(clean["logits"])
    if noise is None:
        noise = _NOISE * float(clean["token_embedding"].astype(np.float64).std())
    return Change(
        "restore",
        lambda where: interventions.patch(where, clean),
        before=sweeps.corrupt(gpt.config, corrupted, scale=noise, seed=seed),
        target=target,
        corrupted=tuple(corrupted),
        noise=noise,
        seed=seed,
    )


def each_position(config: Config, name: str, length: int) -> Groups:
    """Each (layer, position) of an activation by itself, and the shape of that table."""
    sites = [
        [site(config, name, layer, position=position)]
        for layer in range(config.n_layer)
        for position in range(length)
    ]
    return sites, (config.n_layer, length)


def each_head(config: Config) -> Groups:
    """Each (layer, head) by itself, and the shape of that table."""
    sites = [
        [site(config, "head_out", layer, head=number)]
        for layer in range(config.n_layer)
        for number in range(config.n_head)
    ]
    return sites, (config.n_layer, config.n_head)


def run_changed(
    gpt: GPT, prompt: Prompt, change: Change, groups: Groups, metric: sweeps.Metric
) -> PatchReading:
    """The metric of a run for each group of sites, all of a group changed at once.

    groups: as `each_position` and `each_head` give them; `([[a, b]], ())` is one run with two.
    """
    sites, shape = groups
    tokens = gpt.tokens(prompt)
    with quiet():
        run = sweeps.runner(tokens, gpt.parameters, gpt.config, metric)
        unpatched = run(change.before)
        taps = (compose(*map(change.to, group)) for group in sites)
        values = sweeps.sweep(run, taps, before=change.before).reshape(shape)
        effects = normalised_effect(values, unpatched, change.target)
    return PatchReading(tokens[0], change, unpatched, values, effects)


def normalised_effect(values: Float64, base: float, target: float | None) -> Float64:
    """How far each is from `base`, 0, to `target`, 1; without a target, how far from `base`.

    Source: Zhang & Nanda 2023, "Towards Best Practices of Activation Patching", section 2.

    >>> normalised_effect(np.array([0.1, 0.4]), 0.1, 0.5).round(4)
    array([0.  , 0.75])
    """
    moved = values - base
    if target is None:
        return moved
    # Adding 0 makes 0 of −0. Nothing lies between two runs that give the same.
    return moved / (target - base) + 0 if target != base else np.full_like(values, np.nan)
