"""`npgpt attribute`: what each part of the model adds to a logit."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from npgpt.arrays import Array, quiet
from npgpt.audit.attribution import RECORD, Attribution, attribute, neurons
from npgpt.audit.frozen_norm import Float64, unembedding
from npgpt.audit.token_text import text_of, texts
from npgpt.audit.writes import neuron_writes, top_tokens
from npgpt.cli.argument_types import natural, whole
from npgpt.cli.arguments import (
    add_position,
    add_prompt,
    add_token,
    check_distinct,
    load_model,
    prompt_tokens,
    read_prompt,
    read_token_pair,
    resolve_position,
)
from npgpt.cli.attribute_tables import print_found, size
from npgpt.cli.command import Command
from npgpt.cli.output import print_json
from npgpt.errors import NonFiniteError, SettingError
from npgpt.gpt import GPT
from npgpt.trace import Recorder

_EXAMPLES = """\
  npgpt attribute "To be, or not to"
      the logit of the likeliest next token, as a sum of what heads, MLPs, ... add to it
  npgpt attribute --token " be" --against " do" "To be, or not to"
      the difference of two logits
  npgpt attribute --sort forward --top 1000 "To be, or not to"
      every part, in the order in which the model computes them
  npgpt attribute --neurons 5 "To be, or not to"
      also the neurons of layer 5's MLP that add most, and the tokens that each makes likelier
"""
_SIZE, _FORWARD = "size", "forward"
_MOVED = 3  # tokens that a neuron makes likelier, and less likely


def _add_arguments(parser: ArgumentParser) -> None:
    add_prompt(parser)
    add_token(parser, "the likeliest")
    add_position(parser, "N", whole)
    parser.add_argument(
        "--sort",
        choices=(_SIZE, _FORWARD),
        default=_SIZE,
        help="the largest part first (default), or in the order of the forward pass",
    )
    parser.add_argument(
        "--top",
        metavar="K",
        type=natural,
        default=20,
        help="show the K largest parts, and neurons, and the others as one sum (default: 20; "
        "--json has all)",
    )
    parser.add_argument(
        "--neurons", metavar="LAYER", type=natural, help="also the neurons of this layer"
    )


def _run(arguments: Namespace) -> None:
    text = read_prompt(arguments)
    gpt = load_model(arguments)
    row = prompt_tokens(gpt, text)
    token, against = read_token_pair(gpt, arguments)
    layer, layers = arguments.neurons, gpt.config.n_layer
    if layer is not None and layer >= layers:
        raise SettingError(
            f"--neurons is {layer}; the model has {layers} layers"
            + (f": give one of 0 to {layers - 1}" if layers else "")
        )
    at = resolve_position(arguments.position, len(row))
    neuron_names = [] if layer is None else [f"mlp_post.{layer}"]
    trace = gpt.trace(row, (*RECORD, "logits", *neuron_names))
    token = likeliest(trace["logits"][0, at]) if token is None else token
    check_distinct(gpt, token, against)
    with quiet():
        found = readings(gpt, trace, row, at, token, against, layer, top=arguments.top)
        if arguments.sort == _SIZE:
            found["parts"].sort(key=lambda part: size(part["value"]))
        if arguments.json:
            print_json(found)
        else:
            print_found(gpt, found, arguments.top)


def likeliest(logits: Array) -> int:
    """The token of the largest logit, of equal ones the lowest id; NonFiniteError for NaN."""
    if np.isnan(logits).any():
        raise NonFiniteError("the logits are NaN, so no token is the likeliest; give --token")
    return int(np.argmax(logits))


def readings(
    gpt: GPT,
    trace: Recorder,
    row: Sequence[int],
    at: int,
    token: int,
    against: int | None = None,
    layer: int | None = None,
    *,
    top: int = 0,
) -> dict[str, Any]:
    """The parts of a logit, or of the difference of two, at a position of a traced text.

    A dict, as --json prints it: the text; position, token, against; logit, as the model computed
    it, sum of the parts, difference of both; scale, which the final layer norm is held to; parts,
    here in the order of the forward pass; neurons of the layer asked for, else None: activations
    and values of all, and, of the `top` largest, at most 3 tokens whose logits each raises most,
    likelier, and 3 whose it lowers most, less_likely.
    """
    direction = unembedding(gpt.parameters, np.array(token))
    logits = trace["logits"][0, at].astype(np.float64)
    logit = float(logits[token])
    if against is not None:
        direction = direction - unembedding(gpt.parameters, np.array(against))
        logit -= float(logits[against])
    found = attribute(trace, gpt.parameters, gpt.config, direction)
    total = float(found.total[0, at])
    return {
        "tokens": list(row),
        "pieces": texts(gpt, row),
        "position": at,
        "token": token,
        "piece": text_of(gpt, token),
        "against": against,
        "against_piece": None if against is None else text_of(gpt, against),
        "logit": logit,
        "sum": total,
        "difference": total - logit,
        "scale": float(trace["ln_f_scale"][0, at, 0]),
        "parts": [*_parts(found, at)],
        "neurons": None if layer is None else _neurons(gpt, trace, at, layer, direction, top),
    }


def _parts(found: Attribution, at: int) -> Iterator[dict[str, Any]]:
    """In the order of the forward pass."""

    def part(kind: str, value: float, layer: int | None = None, head: int | None = None) -> Any:
        place = "" if layer is None else f" {layer}" if head is None else f" {layer}.{head}"
        return {"part": kind + place, "kind": kind, "layer": layer, "head": head, "value": value}

    yield part("token_embedding", float(found.token_embedding[0, at]))
    yield part("position_embedding", float(found.position_embedding[0, at]))
    for layer, heads in enumerate(found.head[:, :, 0, at].tolist()):
        yield from (part("head", value, layer, head) for head, value in enumerate(heads))
        for kind in ("attn_bias", "mlp", "mlp_bias"):
            yield part(kind, float(getattr(found, kind)[layer, 0, at]), layer)
    yield part("ln_f_bias", float(found.ln_f_bias[0, at]))


def _neurons(
    gpt: GPT, trace: Recorder, at: int, layer: int, direction: Array, top: int
) -> dict[str, Any]:
    """Each neuron's activation and what it adds, and, of the largest, which tokens it moves."""
    values = neurons(trace, gpt.parameters, layer, direction)[0, at]
    active = trace["mlp_post", layer][0, at]
    largest = sorted(range(len(values)), key=lambda number: size(values[number]))[:top]
    writes = [neuron_writes(gpt.parameters, gpt.config, layer, number) for number in largest]
    written = active[largest, None] * np.reshape(writes, (-1, gpt.config.n_embd))
    moved = zip(largest, _raised(gpt, written), _raised(gpt, -written), strict=True)
    return {
        "layer": layer,
        "activations": active.tolist(),
        "values": values.tolist(),
        "largest": [
            {"neuron": number, "likelier": likelier, "less_likely": less}
            for number, likelier, less in moved
        ],
    }


def _raised(gpt: GPT, written: Float64) -> list[list[int]]:
    """The tokens whose logits each vector (n, embd) raises most; none for one that raises none."""
    ids, by = top_tokens(written, gpt.parameters, k=min(_MOVED, gpt.config.vocab_size))
    return [row[more > 0].tolist() for row, more in zip(ids, by, strict=True)]


COMMAND = Command(
    name="attribute",
    usage='("TEXT" | - | --file FILE | --tokens IDS) [--token WORD] [--against WORD] [options]',
    summary="show what each head, MLP, embedding and bias adds to the logit of a next token",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
