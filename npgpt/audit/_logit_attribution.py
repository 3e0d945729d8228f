"""Logit attribution of a text: one next token's logit as a sum of what each part adds.

`attribution` has the arithmetic, of a recorded pass; here it is asked of a model and a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from npgpt._arrays import Array, quiet
from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt._prompt import Prompt
from npgpt.audit._attribution import (
    ATTRIBUTION_NAMES,
    Part,
    attribute,
    neuron_attribution,
    size_order,
)
from npgpt.audit._frozen_norm import Float64, unembedding
from npgpt.audit._next_token import Ids, check_distinct, likeliest_token
from npgpt.audit._output_directions import neuron_direction, top_tokens
from npgpt.audit.sites import Site
from npgpt.errors import SettingError
from npgpt.model._parameters import Parameters

_PROMOTED = 3  # tokens that a neuron makes likelier, and less likely


@dataclass(frozen=True)
class NeuronPart:
    """What one neuron adds, and the tokens whose logits it raises most, and lowers most."""

    site: Site
    value: float
    activation: float
    likelier: tuple[int, ...]
    less_likely: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class NeuronAttribution:
    """What each neuron of a layer adds: activations and values (inner,); largest, the first few."""

    layer: int
    activations: Array
    values: Float64
    largest: tuple[NeuronPart, ...]


@dataclass(frozen=True, eq=False)
class LogitAttribution:
    """The logit of `token`, less that of `against` if it is given, after a position of a text.

    logit: as the model computed it. total: the sum of the parts, which is the logit but for
    rounding. scale: what the final layer norm is held to. parts: in the order of the forward pass.
    neurons: of the layer that was asked for.
    """

    tokens: Ids
    position: int
    token: int
    against: int | None
    logit: float
    total: float
    scale: float
    parts: tuple[Part, ...]
    neurons: NeuronAttribution | None = None

    @property
    def difference(self) -> float:
        """total − logit."""
        return self.total - self.logit


def attribute_logit(
    gpt: GPT,
    prompt: Prompt,
    *,
    token: int | None = None,
    against: int | None = None,
    position: int = -1,
    neurons_of: int | None = None,
    neurons: int = 20,
) -> LogitAttribution:
    """What each part of the model adds to the logit of a next token after a position of a text.

    token: an id (default: the likeliest there). against: another id, whose logit is subtracted.
    neurons_of: a layer whose neurons are told one by one, the `neurons` largest with the tokens
    that each promotes.

    Raises PromptError for an unknown id, SettingError for a token set against itself and a layer
    or position that is not there, NonFiniteError where the likeliest token is asked for and NaN.
    """
    tokens, layers = gpt.tokens(prompt), gpt.config.n_layer
    length = tokens.shape[1]
    if not -length <= position < length:
        raise SettingError(f"position is {position}; give 0 to {length - 1}, or -{length} to -1")
    if neurons_of is not None and not 0 <= neurons_of < layers:
        raise SettingError(f"neurons_of is {neurons_of}; the model has {layers} layers")
    at = position % length
    extra = () if neurons_of is None else (f"mlp_post.{neurons_of}",)
    trace = gpt.trace(tokens, (*ATTRIBUTION_NAMES, "logits", *extra))
    logits = trace["logits"][0, at]
    token = likeliest_token(logits) if token is None else token
    check_distinct(gpt, token, against)
    with quiet():
        direction = unembedding(gpt.parameters, np.array(token))
        logit = float(np.float64(logits[token]))
        if against is not None:
            direction = direction - unembedding(gpt.parameters, np.array(against))
            logit -= float(np.float64(logits[against]))
        added = attribute(trace, gpt.parameters, gpt.config, direction)
        layer_neurons = None
        if neurons_of is not None:
            layer_neurons = _largest_neurons(
                gpt.parameters,
                gpt.config,
                neurons_of,
                trace["mlp_post", neurons_of][0, at],
                neuron_attribution(trace, gpt.parameters, neurons_of, direction)[0, at],
                count=neurons,
            )
        return LogitAttribution(
            tokens[0],
            at,
            token,
            against,
            logit,
            float(added.total[0, at]),
            float(trace["ln_f_scale"][0, at, 0]),
            tuple(added.parts(at)),
            layer_neurons,
        )


def _largest_neurons(
    parameters: Parameters,
    config: Config,
    layer: int,
    activations: Array,
    values: Float64,
    *,
    count: int,
) -> NeuronAttribution:
    largest = sorted(range(len(values)), key=lambda number: size_order(float(values[number])))[
        :count
    ]
    directions = [neuron_direction(parameters, config, layer, number) for number in largest]
    written = activations[largest, None] * np.reshape(directions, (-1, config.n_embd))
    likelier, less_likely = _raised(written, parameters), _raised(-written, parameters)
    return NeuronAttribution(
        layer,
        activations,
        values,
        tuple(
            NeuronPart(
                Site("mlp_post", layer, (("inner", number),)),
                float(values[number]),
                float(activations[number]),
                tuple(more),
                tuple(less),
            )
            for number, more, less in zip(largest, likelier, less_likely, strict=True)
        ),
    )


def _raised(written: Array, parameters: Parameters) -> Sequence[list[int]]:
    """The tokens whose logits each vector (n, embd) raises most; none for one that raises none."""
    count = min(_PROMOTED, len(parameters.lm_head.weight))
    ids, logits = top_tokens(written, parameters, k=count)
    return [row[raised > 0].tolist() for row, raised in zip(ids, logits, strict=True)]
