"""`npgpt lens`: what the model would say at each depth, if it stopped there."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np

from npgpt.arrays import Array
from npgpt.audit.logit_lens import depths, logit_lens
from npgpt.audit.token_text import text_of, texts
from npgpt.cli.argument_types import natural, whole
from npgpt.cli.arguments import (
    add_position,
    add_prompt,
    load_model,
    prompt_tokens,
    read_prompt,
    resolve_position,
)
from npgpt.cli.command import Command
from npgpt.cli.lens_tables import print_all, print_one
from npgpt.cli.output import print_json
from npgpt.errors import SettingError
from npgpt.gpt import GPT
from npgpt.ops.softmax import softmax

_TOP = 4
_EXAMPLES = """\
  npgpt lens "To be, or not to"
      after the last token, before each layer and at the end: the likeliest next tokens
  npgpt lens --position 1 --top 2 "To be, or not to"
      after the second token; also how likely the text's own next token is
  npgpt lens --position all "To be, or not to"
      the likeliest at each depth and position, and #rank of the text's own next token
  npgpt lens --json --tokens "1 2 3"
      each position that is asked for, with its depths: ids, probabilities, ranks
"""


def _add_arguments(parser: ArgumentParser) -> None:
    add_prompt(parser)
    add_position(parser, "N|all", _position, "; all: an overview of all")
    parser.add_argument(
        "--top",
        metavar="K",
        type=natural,
        help=f"the K likeliest tokens (default: {_TOP}); the overview shows one, and with --json K",
    )


def _position(text: str) -> int | None:
    return None if text == "all" else whole(text)


def _run(arguments: Namespace) -> None:
    text = read_prompt(arguments)
    gpt = load_model(arguments)
    row = prompt_tokens(gpt, text)
    known = gpt.config.vocab_size
    top = min(_TOP, known) if arguments.top is None else arguments.top
    if not 1 <= top <= known:
        raise SettingError(f"--top is {top}; give 1 to {known}, the number of tokens")
    is_all = arguments.position is None
    at = list(range(len(row))) if is_all else [resolve_position(arguments.position, len(row))]
    found = readings(gpt, row, at, top=top)
    if arguments.json:
        print_json({"tokens": row, "pieces": texts(gpt, row), "positions": found})
    elif is_all:
        print_all(gpt, found)
    else:
        print_one(gpt, found[0])


def readings(
    gpt: GPT, row: Sequence[int], positions: Sequence[int], *, top: int
) -> list[dict[str, Any]]:
    """The lens at some positions of a text: for each a dict, as --json prints it.

    position, token, piece; next_token and next_piece of the text, None at its end; settled_at, the
    first depth from which on the likeliest token is the model's own; depths, each with tokens,
    pieces and probabilities of the `top` likeliest, next_rank (0 is the likeliest) and
    next_probability. The last depth holds the model's own answer. Where logits are NaN nothing is
    the likeliest: the lists are empty and there is no rank.
    """
    layers = gpt.config.n_layer
    stream = ("resid_pre", f"resid_post.{layers - 1}") if layers else ("*_embedding",)
    trace = gpt.trace(row, (*stream, "logits"))
    following = [row[at + 1] if at + 1 < len(row) else None for at in positions]
    found: list[list[dict[str, Any]]] = [[] for _ in positions]
    places = depths(trace, gpt.config)
    for number, (name, residual) in enumerate(places, 1):
        is_last = number == len(places)
        logits = (
            trace["logits"][:, positions]
            if is_last
            else logit_lens(residual[:, positions], gpt.parameters, gpt.config)
        )
        for own, token, listed in zip(logits[0], following, found, strict=True):
            listed.append({"depth": name, **_depth(gpt, own, token, top)})
    return [
        {
            "position": at,
            "token": row[at],
            "piece": text_of(gpt, row[at]),
            "next_token": token,
            "next_piece": None if token is None else text_of(gpt, token),
            "settled_at": _settled(listed),
            "depths": listed,
        }
        for at, token, listed in zip(positions, following, found, strict=True)
    ]


def _depth(gpt: GPT, logits: Array, following: int | None, top: int) -> dict[str, Any]:
    is_number = not np.isnan(logits).any()
    likely = softmax(logits.astype(np.float64))
    ids = np.argsort(-logits, kind="stable")[:top].tolist() if is_number else []
    rank = probability = None
    if is_number and following is not None:
        rank = int(np.count_nonzero(logits > logits[following]))
        probability = float(likely[following])
    return {
        "tokens": ids,
        "pieces": texts(gpt, ids),
        "probabilities": likely[ids].tolist(),
        "next_rank": rank,
        "next_probability": probability,
    }


def _settled(listed: Sequence[dict[str, Any]]) -> str | None:
    """The first depth from which on the likeliest token stays the last depth's."""
    if not listed[-1]["tokens"]:
        return None
    settled: str = listed[-1]["depth"]
    for each in reversed(listed):
        if each["tokens"][:1] != listed[-1]["tokens"][:1]:
            break
        settled = each["depth"]
    return settled


COMMAND = Command(
    name="lens",
    usage='("TEXT" | - | --file FILE | --tokens IDS) [--position N|all] [--top K] [options]',
    summary="show what the model would say at each depth, if it stopped there (the logit lens)",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
