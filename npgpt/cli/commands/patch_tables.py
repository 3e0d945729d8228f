"""Tables of `npgpt patch`: the metric, and how far each change moved it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from npgpt.audit.frozen_norm import Float64
from npgpt.audit.token_text import described, label
from npgpt.cli.output import number, print_grid, short, signed
from npgpt.gpt import GPT

_CHANGED = {
    "patch": "taken from the run on --from",
    "zero": "set to zero",
    "mean": "at the mean over the positions of {reference}",
    "restore": "taken from the clean run",
}


def print_tables(gpt: GPT, found: Mapping[str, Any]) -> None:
    """Print what --json holds as tables: the metric, and how far each change moved it."""
    token, against = described(gpt, found["token"]), found["against"]
    if against is None:
        print(f"metric: the probability of {token} after the last position")
    else:
        other = described(gpt, against)
        print(f"metric: the logit of {token} less that of {other}, after the last position")
    _print_runs(found)
    changed = f"{_what(found)} {_CHANGED[found['change']]}".format(
        reference="this run" if found["from_tokens"] is None else "the run on --from"
    )
    if found["target"] is None:
        effect, shown = "change of the metric", signed
    else:
        reference = "run on --from" if found["change"] == "patch" else "clean run"
        effect, shown = f"normalised effect: 0 as unpatched, 1 as the {reference}", _effect
    if found["sweep"] == "places":
        print(f"\n{changed}:\n")
        print_grid([("metric", number(found["values"])), (effect, shown(found["effects"]))])
    else:
        print(f"\nthe metric with {changed}:\n")
        _print_table(gpt, found, found["values"], number)
        print(f"\n{effect}:\n")
        _print_table(gpt, found, found["effects"], shown)
    if found["target"] == found["unpatched"]:
        print("\nboth runs give the same metric, so no effect can be normalised: nan")


def _print_runs(found: Mapping[str, Any]) -> None:
    """The metric of the runs that nothing is changed in."""
    if found["change"] == "restore":
        at = ", ".join(map(str, found["corrupted"]))
        noise = f"noise of {found['noise']:.4g} on positions {at}, seed {found['seed']}"
        rows = [(f"corrupted run, unpatched: {noise}", number(found["unpatched"]))]
        rows.append(("clean run", number(found["target"])))
    else:
        rows = [("run on TEXT, unpatched", number(found["unpatched"]))]
        if found["target"] is not None:
            rows.append(("run on --from", number(found["target"])))
    print_grid(rows)


def _what(found: Mapping[str, Any]) -> str:
    if found["sweep"] == "places":
        return ", ".join(found["places"])
    if found["sweep"] == "heads":
        return "the output of one head, at all positions,"
    return f"{found['name']} of one layer and position"


def _print_table(
    gpt: GPT, found: Mapping[str, Any], values: Float64, shown: Callable[[float], str]
) -> None:
    columns = range(values.shape[1])
    if found["sweep"] == "heads":
        rows = [["head", *map(str, columns)]]
    else:
        rows = [["position", *map(str, columns)], _tokens(gpt, "TEXT", found["tokens"])]
        if found["change"] == "patch":
            rows.append(_tokens(gpt, "--from", found["from_tokens"]))
    for layer, line in enumerate(values.tolist()):
        rows.append([f"layer {layer}", *map(shown, line)])
    print_grid(rows)


def _tokens(gpt: GPT, name: str, tokens: Sequence[int]) -> list[str]:
    return [name, *(short(label(gpt, token)) for token in tokens)]


def _effect(value: float) -> str:
    return number(value, ".3f")
