"""What `npgpt patch` is asked to change, and to what."""

from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from npgpt.audit import interventions, places, sweeps
from npgpt.audit.frozen_norm import Float64
from npgpt.audit.places import Place, place
from npgpt.cli.argument_types import token_ids
from npgpt.cli.arguments import count_tokens, describe_tokens, prompt_tokens, resolve_position
from npgpt.errors import PromptError, SettingError
from npgpt.gpt import GPT
from npgpt.quoting import brief, quoted
from npgpt.trace import OUTSIDE_BLOCKS, Tap, check_place, discard

RESID = "resid_pre"
POSITIONS, HEADS, PLACES = "positions", "heads", "places"
_NOISE = 3.0  # times the standard deviation of the embeddings, as in Meng et al. 2022


@dataclass(frozen=True)
class Change:
    """What a place is changed to.

    kind: "patch", "zero", "mean" or "restore". to: the tap that changes a place; before: one that
    comes first. target: the metric of the run that parts are taken from, if there is one. other:
    the tokens of --from. noise, seed: those of "restore".
    """

    kind: str
    to: Callable[[Place], Tap]
    before: Tap = discard
    target: float | None = None
    other: Sequence[int] | None = None
    corrupted: Sequence[int] | None = None
    noise: float | None = None
    seed: int | None = None


def check(arguments: Namespace) -> None:
    """Raise SettingError for options that contradict each other."""
    change = _given(arguments, {"--from": "source", "--ablate": "ablate", "--corrupt": "corrupt"})
    if not change:
        raise SettingError(
            "nothing is given to put in place of a part; give --from OTHER, --ablate zero, "
            "--ablate mean or --corrupt POSITIONS"
        )
    if len(change) > 1 and (arguments.corrupt is not None or arguments.ablate == "zero"):
        raise SettingError(f"{' and '.join(change)} are given; give one of them")
    where = _given(arguments, {"--name": "name", "--heads": "heads", "--at": "at"})
    if len(where) > 1:
        raise SettingError(f"{' and '.join(where)} are given; give one of them")
    noise = _given(arguments, {"--noise": "noise", "--seed": "seed"})
    if noise and arguments.corrupt is None:
        raise SettingError(f"{' and '.join(noise)} given without --corrupt POSITIONS; add that")
    if arguments.noise is not None and not 0 < arguments.noise < np.inf:
        raise SettingError(f"--noise is {arguments.noise}; give a finite number above 0")


def _given(arguments: Namespace, options: dict[str, str]) -> list[str]:
    return [option for option, name in options.items() if getattr(arguments, name) is not None]


def swept(arguments: Namespace) -> str:
    """Over what: "positions" of each layer, "heads" of each layer, or "places" all at once."""
    if arguments.at is not None:
        return PLACES
    is_heads = arguments.heads or (arguments.ablate is not None and arguments.name is None)
    return HEADS if is_heads else POSITIONS


def groups(
    gpt: GPT, arguments: Namespace, length: int
) -> tuple[list[list[Place]], tuple[int, ...]]:
    """The places that each run changes, and the shape of the table of runs."""
    config, over = gpt.config, swept(arguments)
    if over == PLACES:
        return [[places.read(config, text, length=length) for text in arguments.at]], ()
    name = RESID if arguments.name is None else arguments.name
    if name in OUTSIDE_BLOCKS:
        raise SettingError(f"--name is {name!r}, which no layer has; give --at {name!r}")
    if config.n_layer == 0:
        raise SettingError("the model has no layers; give --at PLACE, as in 'token_embedding@0'")
    check_place(name, 0, config.n_layer)
    many = config.n_head if over == HEADS else length
    at = [(layer, number) for layer in range(config.n_layer) for number in range(many)]
    each = (
        [places.head(config, layer, number) for layer, number in at]
        if over == HEADS
        else [place(config, name, layer, position=number) for layer, number in at]
    )
    return [[where] for where in each], (config.n_layer, many)


def change(
    gpt: GPT, arguments: Namespace, row: list[int], names: Sequence[str], metric: sweeps.Metric
) -> Change:
    """What places of these activations are changed to, in runs on the text `row`."""
    if arguments.corrupt is not None:
        return _restored(gpt, arguments, row, names, metric)
    if arguments.ablate == "zero":
        return Change("zero", interventions.zero)
    other = None if arguments.source is None else _other(gpt, arguments)
    reference = gpt.trace(row if other is None else other, (*names, "logits"))
    if arguments.ablate == "mean":
        return Change("mean", lambda where: interventions.mean(where, reference), other=other)
    if other is not None and len(other) != len(row):
        raise PromptError(
            f"TEXT has {count_tokens(len(row))}, {describe_tokens(gpt, row)}; --from has "
            f"{len(other)}, {describe_tokens(gpt, other)}; give texts of as many tokens"
        )
    return Change(
        "patch",
        lambda where: interventions.patch(where, reference),
        target=metric(reference["logits"]),
        other=other,
    )


def _restored(
    gpt: GPT, arguments: Namespace, row: list[int], names: Sequence[str], metric: sweeps.Metric
) -> Change:
    at = [resolve_position(number, len(row)) for number in arguments.corrupt]
    if not at or len(set(at)) < len(at):
        raise SettingError(
            f"--corrupt is {brief(arguments.corrupt)}; give at least one position, each once"
        )
    clean = gpt.trace(row, (*names, "token_embedding", "logits"))
    spread = float(clean["token_embedding"].astype(np.float64).std())
    noise = _NOISE * spread if arguments.noise is None else arguments.noise
    seed = 0 if arguments.seed is None else arguments.seed
    return Change(
        "restore",
        lambda where: interventions.patch(where, clean),
        before=sweeps.corrupt(gpt.config, at, scale=noise, seed=seed),
        target=metric(clean["logits"]),
        corrupted=at,
        noise=noise,
        seed=seed,
    )


def _other(gpt: GPT, arguments: Namespace) -> list[int]:
    """The tokens of --from."""
    source: str = arguments.source
    try:
        found = source if arguments.ids is None else token_ids(source)
    except ArgumentTypeError as error:
        raise PromptError(f"--from: {error}; TEXT is ids, so give ids") from None
    if not found:
        raise PromptError(f"--from {quoted(source)} holds nothing; give as many tokens as TEXT has")
    return prompt_tokens(gpt, found)


def effects(values: Float64, base: float, target: float | None) -> Float64:
    """How far each is from `base`, 0, to `target`, 1; without a target, how far from `base`.

    >>> effects(np.array([0.1, 0.4]), 0.1, 0.5).round(4)
    array([0.  , 0.75])
    """
    moved = values - base
    if target is None:
        return moved
    # Adding 0 makes 0 of −0. Nothing lies between two runs that give the same.
    return moved / (target - base) + 0 if target != base else np.full_like(values, np.nan)
