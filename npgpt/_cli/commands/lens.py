"""`npgpt lens`: the logit lens, what the model would predict if it stopped at each depth."""

from argparse import ArgumentParser, Namespace
from typing import Any

from npgpt._cli.argument_types import natural, whole
from npgpt._cli.arguments import (
    add_position,
    add_prompt,
    load_model,
    prompt_tokens,
    read_prompt,
    resolve_position,
)
from npgpt._cli.command import Command
from npgpt._cli.output import print_grid, print_json, short
from npgpt._gpt import GPT
from npgpt.audit._logit_lens import NO_RANK, LensReading, lens
from npgpt.audit._next_token import NO_TOKEN
from npgpt.audit._token_text import described, label, text_of, texts
from npgpt.errors import SettingError

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


_RANK = "; rank 0 is the likeliest"


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
    vocab_size = gpt.config.vocab_size
    top = min(_TOP, vocab_size) if arguments.top is None else arguments.top
    if not 1 <= top <= vocab_size:
        raise SettingError(f"--top is {top}; give 1 to {vocab_size}, the number of tokens")
    is_all = arguments.position is None
    at = list(range(len(row))) if is_all else [resolve_position(arguments.position, len(row))]
    reading = lens(gpt, row, at, top=top)
    if arguments.json:
        print_json("lens", _fields(gpt, reading))
    elif is_all:
        _print_all(gpt, reading)
    else:
        _print_one(gpt, reading)


def _fields(gpt: GPT, reading: LensReading) -> dict[str, Any]:
    return {
        "tokens": reading.tokens,
        "pieces": texts(gpt, reading.tokens.tolist()),
        "positions": [_position_fields(gpt, reading, n) for n in range(len(reading.positions))],
    }


def _position_fields(gpt: GPT, reading: LensReading, n: int) -> dict[str, Any]:
    """One position: number `n` of those that were read."""
    token = _token(reading, n)
    following = int(reading.next_tokens[n])
    return {
        "position": int(reading.positions[n]),
        "token": token,
        "piece": text_of(gpt, token),
        "next_token": None if following == NO_TOKEN else following,
        "next_piece": None if following == NO_TOKEN else text_of(gpt, following),
        "settled_at": _settled(reading, n),
        "depths": [_depth_fields(gpt, reading, depth, n) for depth in range(len(reading.depths))],
    }


def _depth_fields(gpt: GPT, reading: LensReading, depth: int, n: int) -> dict[str, Any]:
    tokens = [token for token in reading.top_tokens[depth, n].tolist() if token != NO_TOKEN]
    is_ranked = reading.next_ranks[depth, n] != NO_RANK
    return {
        "depth": reading.depths[depth],
        "tokens": tokens,
        "pieces": texts(gpt, tokens),
        "probabilities": reading.probabilities[depth, n, : len(tokens)],
        "next_rank": int(reading.next_ranks[depth, n]) if is_ranked else None,
        "next_probability": float(reading.next_probabilities[depth, n]) if is_ranked else None,
    }


def _print_one(gpt: GPT, reading: LensReading) -> None:
    """One position: a line for each depth."""
    following = int(reading.next_tokens[0])
    print(f"after position {reading.positions[0]}, {described(gpt, _token(reading, 0))}")
    is_nan = (reading.top_tokens == NO_TOKEN).all()
    columns = range(1 if is_nan else reading.top_tokens.shape[-1])
    has_next = following != NO_TOKEN
    rows = [["depth", *(str(n + 1) for n in columns), *(["next", "rank"] if has_next else [])]]
    for depth, name in enumerate(reading.depths):
        cells = [_likely(gpt, reading, depth, 0, column) for column in columns]
        if has_next:
            cells.append(f"{reading.next_probabilities[depth, 0]:.3f}")
            cells.append(_ranked(reading, depth, 0))
        rows.append([name, *cells])
    print_grid(rows)
    print()
    if has_next:
        print(f"next: the text's own next token, {described(gpt, following)}{_RANK}")
    settled = _settled(reading, 0)
    if settled is None:
        print("the logits are NaN: the model has no answer")
    else:
        answer = described(gpt, int(reading.top_tokens[-1, 0, 0]))
        print(f"{reading.depths[-1]} is the model's answer, {answer}, the likeliest from {settled}")


def _print_all(gpt: GPT, reading: LensReading) -> None:
    """All positions: a column for each, with the likeliest token at each depth."""
    columns = []
    for n, position in enumerate(reading.positions.tolist()):
        cells = []
        for depth in range(len(reading.depths)):
            has_next = reading.next_tokens[n] != NO_TOKEN
            rank = f" #{_ranked(reading, depth, n)}" if has_next else ""
            cells.append(_likely(gpt, reading, depth, n, 0) + rank)
        token = short(label(gpt, _token(reading, n)))
        columns.append([str(position), token, *cells, _settled(reading, n) or "-"])
    rows = [["position", "token", *reading.depths, "settled"], *columns]
    print_grid(list(zip(*rows, strict=True)))
    print()
    print("each cell: the likeliest next token, its probability,")
    print(f"  #rank of the text's own next token{_RANK}")
    print(
        "settled: the depth from which on the likeliest token is the model's answer, "
        f"{reading.depths[-1]}"
    )


def _token(reading: LensReading, n: int) -> int:
    return int(reading.tokens[reading.positions[n]])


def _settled(reading: LensReading, n: int) -> str | None:
    depth = int(reading.settled[n])
    return None if depth < 0 else reading.depths[depth]


def _likely(gpt: GPT, reading: LensReading, depth: int, n: int, column: int) -> str:
    token = int(reading.top_tokens[depth, n, column])
    if token == NO_TOKEN:
        return "nan"
    return f"{short(label(gpt, token))} {reading.probabilities[depth, n, column]:.3f}"


def _ranked(reading: LensReading, depth: int, n: int) -> str:
    rank = int(reading.next_ranks[depth, n])
    return "-" if rank == NO_RANK else str(rank)


COMMAND = Command(
    name="lens",
    usage='("TEXT" | - | --file FILE | --tokens IDS) [--position N|all] [--top K] [options]',
    summary="show what the model would say at each depth, if it stopped there (the logit lens)",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
