"""Tables of `npgpt patch`: the metric, and how far each change moved it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from npgpt._cli.output import number, print_grid, short, signed
from npgpt._gpt import GPT
from npgpt.audit._frozen_norm import Float64
from npgpt.audit._token_text import described, label

_CHANGED = {
    "patch": "taken from the run on --from",
    "zero": "set to zero",
    "mean": "at the mean over the positions of {reference}",
    "restore": "taken from the clean run",
}


def print_tables(gpt: GPT, fields: Mapping[str, Any]) -> None:
    """Print what --json holds as tables: the metric, and how far each change moved it."""
    token, against = described(gpt, fields["token"]), fields["against"]
    if against is None:
        print(f"metric: the probability of {token} after the last position")
    else:
        other = described(gpt, against)
        print(f"metric: the logit of {token} less that of {other}, after the last position")
    _print_runs(fields)
    changed = f"{_what(fields)} {_CHANGED[fields['change']]}".format(
        reference="this run" if fields["from_tokens"] is None else "the run on --from"
    )
    if fields["target"] is None:
        effect, shown = "change of the metric", signed
    else:
        reference = "run on --from" if fields["change"] == "patch" else "clean run"
        effect, shown = f"normalised effect: 0 as unpatched, 1 as the {reference}", _effect
    if fields["sweep"] == "places":
        print(f"\n{changed}:\n")
        print_grid([("metric", number(fields["values"])), (effect, shown(fields["effects"]))])
    else:
        print(f"\nthe metric with {changed}:\n")
        _print_table(gpt, fields, fields["values"], number)
        print(f"\n{effect}:\n")
        _print_table(gpt, fields, fields["effects"], shown)
    if fields["target"] == fields["unpatched"]:
        print("\nboth runs give the same metric, so no effect can be normalised: nan")


def _print_runs(fields: Mapping[str, Any]) -> None:
    """The metric of the runs that nothing is changed in."""
    if fields["change"] == "restore":
        at = ", ".join(map(str, fields["corrupted"]))
        noise = f"noise of {fields['noise']:.4g} on positions {at}, seed {fields['seed']}"
        rows = [(f"corrupted run, unpatched: {noise}", number(fields["unpatched"]))]
        rows.append(("clean run", number(fields["target"])))
    else:
        rows = [("run on TEXT, unpatched", number(fields["unpatched"]))]
        if fields["target"] is not None:
            rows.append(("run on --from", number(fields["target"])))
    print_grid(rows)


def _what(fields: Mapping[str, Any]) -> str:
    if fields["sweep"] == "places":
        return ", ".join(fields["places"])
    if fields["sweep"] == "heads":
        return "the output of one head, at all positions,"
    return f"{fields['name']} of one layer and position"


def _print_table(
    gpt: GPT, fields: Mapping[str, Any], values: Float64, shown: Callable[[float], str]
) -> None:
    columns = range(values.shape[1])
    if fields["sweep"] == "heads":
        rows = [["head", *map(str, columns)]]
    else:
        rows = [["position", *map(str, columns)], _tokens(gpt, "TEXT", fields["tokens"])]
        if fields["change"] == "patch":
            rows.append(_tokens(gpt, "--from", fields["from_tokens"]))
    for layer, line in enumerate(values.tolist()):
        rows.append([f"layer {layer}", *map(shown, line)])
    print_grid(rows)


def _tokens(gpt: GPT, name: str, tokens: Sequence[int]) -> list[str]:
    return [name, *(short(label(gpt, token)) for token in tokens)]


def _effect(value: float) -> str:
    return number(value, ".3f")
