"""What `npgpt attribute` prints for people."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from npgpt.audit.token_text import described, label
from npgpt.cli.output import number, print_grid, print_table, short, signed
from npgpt.gpt import GPT


def size(value: float) -> float:
    """What sorts values so that the largest in size comes first, and NaN before it."""
    return -np.inf if np.isnan(value) else -abs(value)


def print_found(gpt: GPT, found: dict[str, Any], top: int) -> None:
    """Print what --json holds as tables, the `top` largest parts and neurons one by one."""
    whose = "the logit of " + described(gpt, found["token"])
    if found["against"] is not None:
        whose += " less that of " + described(gpt, found["against"])
    here = described(gpt, found["tokens"][found["position"]])
    print(f"{whose}, after position {found['position']}, {here}\n")
    parts = found["parts"]
    largest = sorted(parts, key=lambda part: size(part["value"]))[:top]
    shown = [each for each in parts if any(each is one for one in largest)]
    rest = [each for each in parts if not any(each is one for one in largest)]
    rows = [("part", "adds"), *((each["part"], signed(each["value"])) for each in shown)]
    if rest:
        rows.append(
            (f"{len(rest)} smaller {'parts' if len(rest) > 1 else 'part'}", signed(_sum(rest)))
        )
    print_grid(rows)
    print()
    kinds = ("heads", "MLPs", "embeddings", "biases")
    print_grid(
        [(kind, signed(_sum(each for each in parts if _group(each) == kind))) for kind in kinds]
    )
    print()
    print_grid(
        [
            ("sum of all parts", number(found["sum"], ".6f")),
            ("the model's", number(found["logit"], ".6f")),
            ("difference (rounding)", f"{found['difference']:.1e}"),
        ]
    )
    print(f"\nthe final layer norm is held to the scale it had, {number(found['scale'])}")
    if found["neurons"] is not None:
        _print_neurons(gpt, found["neurons"])


def _print_neurons(gpt: GPT, found: dict[str, Any]) -> None:
    layer, values, largest = found["layer"], found["values"], found["largest"]
    print(f"\nneurons of layer {layer}, the {len(largest)} that add most of {len(values)}:\n")
    rows = [("neuron", "adds", "activation", "makes likelier", "makes less likely")]
    for each in largest:
        at = each["neuron"]
        words = (_words(gpt, each["likelier"]), _words(gpt, each["less_likely"]))
        active = number(found["activations"][at])
        rows.append((f"neuron {layer}.{at}", signed(values[at]), active, *words))
    print_table(rows, left=1)
    print(f"\nall neurons together: {signed(float(np.sum(values)))}, which is mlp {layer}")


def _words(gpt: GPT, tokens: Iterable[int]) -> str:
    return " ".join(short(label(gpt, token)) for token in tokens) or "-"


def _sum(parts: Iterable[dict[str, Any]]) -> float:
    return float(np.sum([each["value"] for each in parts]))


def _group(part: dict[str, Any]) -> str:
    return {
        "head": "heads",
        "mlp": "MLPs",
        "token_embedding": "embeddings",
        "position_embedding": "embeddings",
    }.get(part["kind"], "biases")
