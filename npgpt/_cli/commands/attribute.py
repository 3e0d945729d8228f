"""`npgpt attribute`: direct logit attribution, what each part adds to a next token's logit."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any

import numpy as np

from npgpt._cli.argument_types import natural, whole
from npgpt._cli.arguments import (
    add_position,
    add_prompt,
    add_token,
    load_model,
    prompt_tokens,
    read_prompt,
    read_token_pair,
    resolve_position,
)
from npgpt._cli.command import Command
from npgpt._cli.output import number, print_grid, print_json, print_table, short, signed
from npgpt._gpt import GPT
from npgpt.audit._attribution import Part, largest_first
from npgpt.audit._logit_attribution import LogitAttribution, NeuronAttribution, attribute_logit
from npgpt.audit._token_text import described, label, text_of, texts
from npgpt.errors import SettingError

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
    reading = attribute_logit(
        gpt,
        row,
        token=token,
        against=against,
        position=resolve_position(arguments.position, len(row)),
        neurons_of=layer,
        neurons=arguments.top,
    )
    parts = list(reading.parts)
    if arguments.sort == _SIZE:
        parts = largest_first(parts)
    if arguments.json:
        print_json("attribute", _fields(gpt, reading, parts))
    else:
        _print(gpt, reading, parts, arguments.top)


def _fields(gpt: GPT, reading: LogitAttribution, parts: Iterable[Part]) -> dict[str, Any]:
    return {
        "tokens": reading.tokens,
        "pieces": texts(gpt, reading.tokens.tolist()),
        "position": reading.position,
        "token": reading.token,
        "piece": text_of(gpt, reading.token),
        "against": reading.against,
        "against_piece": None if reading.against is None else text_of(gpt, reading.against),
        "logit": reading.logit,
        "sum": reading.total,
        "difference": reading.difference,
        "scale": reading.scale,
        "parts": [
            {
                "part": str(part.site),
                "kind": part.kind,
                "layer": part.site.layer,
                "head": dict(part.site.at).get("head"),
                "value": part.value,
            }
            for part in parts
        ],
        "neurons": None if reading.neurons is None else _neuron_fields(reading.neurons),
    }


def _neuron_fields(neurons: NeuronAttribution) -> dict[str, Any]:
    return {
        "layer": neurons.layer,
        "activations": neurons.activations,
        "values": neurons.values,
        "largest": [
            {
                "part": str(each.site),
                "neuron": dict(each.site.at)["inner"],
                "likelier": each.likelier,
                "less_likely": each.less_likely,
            }
            for each in neurons.largest
        ],
    }


def _print(gpt: GPT, reading: LogitAttribution, parts: list[Part], top: int) -> None:
    """The `top` largest parts and neurons one by one, the others as one sum."""
    whose = "the logit of " + described(gpt, reading.token)
    if reading.against is not None:
        whose += " less that of " + described(gpt, reading.against)
    here = described(gpt, int(reading.tokens[reading.position]))
    print(f"{whose}, after position {reading.position}, {here}\n")
    largest = {part.site for part in largest_first(parts)[:top]}
    rest = [part for part in parts if part.site not in largest]
    rows = [("part", "adds")]
    rows += [(str(part.site), signed(part.value)) for part in parts if part.site in largest]
    if rest:
        rows.append(
            (f"{len(rest)} smaller {'parts' if len(rest) > 1 else 'part'}", signed(_sum(rest)))
        )
    print_grid(rows)
    print()
    print_grid(
        [
            (group, signed(_sum(part for part in parts if _group(part) == group)))
            for group in ("heads", "MLPs", "embeddings", "biases")
        ]
    )
    print()
    print_grid(
        [
            ("sum of all parts", number(reading.total, ".6f")),
            ("the model's", number(reading.logit, ".6f")),
            ("difference (rounding)", f"{reading.difference:.1e}"),
        ]
    )
    print(f"\nthe final layer norm is held to the scale it had, {number(reading.scale)}")
    if reading.neurons is not None:
        _print_neurons(gpt, reading.neurons)


def _print_neurons(gpt: GPT, neurons: NeuronAttribution) -> None:
    layer, count = neurons.layer, len(neurons.values)
    print(f"\nneurons of layer {layer}, the {len(neurons.largest)} that add most of {count}:\n")
    rows = [("neuron", "adds", "activation", "makes likelier", "makes less likely")]
    for each in neurons.largest:
        words = (_words(gpt, each.likelier), _words(gpt, each.less_likely))
        rows.append((str(each.site), signed(each.value), number(each.activation), *words))
    print_table(rows, left=1)
    together = signed(float(np.sum(neurons.values)))
    print(f"\nall neurons together: {together}, which is mlp_post {layer}")


def _words(gpt: GPT, tokens: Iterable[int]) -> str:
    return " ".join(short(label(gpt, token)) for token in tokens) or "-"


def _sum(parts: Iterable[Part]) -> float:
    return float(np.sum([part.value for part in parts]))


def _group(part: Part) -> str:
    return {
        "head": "heads",
        "mlp_post": "MLPs",
        "token_embedding": "embeddings",
        "position_embedding": "embeddings",
    }.get(part.kind, "biases")


COMMAND = Command(
    name="attribute",
    usage='("TEXT" | - | --file FILE | --tokens IDS) [--token WORD] [--against WORD] [options]',
    summary="show what each head, MLP, embedding and bias adds to the logit of a next token",
    examples=_EXAMPLES,
    add_arguments=_add_arguments,
    run=_run,
)
