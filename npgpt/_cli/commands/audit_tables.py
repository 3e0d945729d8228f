"""Tables of `npgpt audit`. Information is in nats, as everywhere."""

import math
from collections.abc import Mapping
from typing import Any

from npgpt._cli.output import print_table
from npgpt.audit._attribution import size_order
from npgpt.audit.sites import Site

_PARTS = 5  # of a logit
_MOST_TENSORS = 8  # with outliers that are named
_INSTEAD = 3  # likelier tokens of each prediction
_KINDS = {
    "to_previous": "to the previous token",
    "induction": "after an earlier same token (induction)",
    "to_first": "to the first token",
    "lowest_entropy": "lowest entropy, in nats",
    "highest_entropy": "highest entropy, in nats",
}


def print_summary(facts: Mapping[str, Any]) -> None:
    """Print the readings of a pass, a part at a time."""
    model, sizes = facts["model"], facts["model"]["config"]
    print(
        f"{model['name']}: {_many(model['parameters'], 'parameter')}, "
        f"{_many(sizes['n_layer'], 'layer')} of {_many(sizes['n_head'], 'head')}, "
        f"{model['dtype']}\n"
    )
    _print_tokens(facts)
    print()
    print_verdict(facts["verified"])
    print("\nheads that stand out, over all positions but the first")
    print_table([(_KINDS[kind], _heads(of)) for kind, of in facts["striking"].items()], left=1)
    _print_attribution(facts["attribution"])
    _print_weights(facts)
    _print_decisions(facts)


def print_verdict(verdict: dict[str, Any]) -> None:
    """Print whether a trace is verified, and the worst error of each activation."""
    print("verified" if verdict["ok"] else "NOT VERIFIED", end=": ")
    print("the largest errors, as parts of what rounding may do (above 1 is wrong)")
    worst: dict[str, dict[str, Any]] = {}
    for error in verdict["arrays"]:
        if error["name"] not in worst or error["ratio"] > worst[error["name"]]["ratio"]:
            worst[error["name"]] = error
    rows = [
        (str(Site(error["name"], error["layer"])), f"{error['ratio']:.3f}")
        for error in worst.values()
    ]
    print_table(rows, left=1)
    if verdict["same_logits"] is not None:
        same = "the same bits" if verdict["same_logits"] else "NOT the same"
        print(f"logits with and without recording: {same}")


def _print_tokens(facts: Mapping[str, Any]) -> None:
    rows = [("nats", "rank", "token", "likeliest there")]
    for token in facts["tokens"]:
        nats = "-" if token["nats"] is None else f"{token['nats']:.2f}"
        rank = "-" if token["rank"] is None else str(token["rank"])
        rows.append((nats, rank, repr(token["text"]), _likely(token["likeliest"])))
    width = max(len(row[2]) for row in rows)
    print_table([(*row[:2], row[2].ljust(width), row[3]) for row in rows], left=0)
    if facts["mean_nats"] is not None:
        print(f"on average {facts['mean_nats']:.2f} nats; rank 0 is the likeliest token")
    print(f"likeliest next: {_likely(facts['next'])}")


def _likely(tokens: list[dict[str, Any]]) -> str:
    return "  ".join(f"{t['text']!r} {t['probability']:.3f}" for t in tokens[:_INSTEAD]) or "-"


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _heads(heads: list[dict[str, Any]]) -> str:
    shown = [f"{head['part']} {head['value']:.3f}" for head in heads]
    return "  ".join(shown) or "no position has one"


def _print_attribution(attribution: dict[str, Any]) -> None:
    if math.isnan(attribution["logit"][-1]):
        print("\nthe last logits are NaN: none is the largest")
        return
    parts = sorted(attribution["parts"], key=lambda part: size_order(part["values"][-1]))
    largest = [f"{part['part']} {part['values'][-1]:+.3f}" for part in parts[:_PARTS]]
    print(
        f"\nlogit of {attribution['targets'][-1]['text']!r}, the likeliest next: "
        f"{attribution['logit'][-1]:.4f}; its {len(parts)} parts sum to "
        f"{attribution['sum'][-1]:.4f}"
    )
    print("largest parts: " + ", ".join(largest))


def _print_weights(facts: Mapping[str, Any]) -> None:
    weights, tensors = facts["weights"], facts["weights"]["tensors"]
    loud = sorted((t for t in tensors if t["outliers"]), key=lambda t: -len(t["outliers"]))
    print(f"\noutlier features are in {len(loud)} of {len(tensors)} tensors", end="")
    print(":" if loud else "")
    rows = [(str(len(t["outliers"])), f"of {t['shape'][-1]}", t["name"]) for t in loud]
    print_table(rows[:_MOST_TENSORS], left=0)
    bad = [f"{t['non_finite']} in {t['name']}" for t in tensors if t["non_finite"]]
    print(f"weights that are NaN or infinite: {', '.join(bad) or 'none'}")
    bad = [f"{one['count']} in {Site(one['name'], one['layer'])}" for one in facts["non_finite"]]
    print(f"activations that are NaN or infinite: {', '.join(bad) or 'none'}")
    print(f"groups of tokens that share a row of wte: {len(weights['duplicated'])}")


def _print_decisions(facts: Mapping[str, Any]) -> None:
    decided = facts["decisions"]
    if decided is None:
        print(f"\n{facts['no_decisions']}")
        return
    print(f"\ndecisions: {decided['decoder']}, seed {decided['seed']}")
    rows = [("new token", "drawn from", "p", "")]
    for decision in decided["ledger"]:
        model, last = decision["stages"][0], decision["stages"][-1]
        likely = decision["probability"]
        text = "nothing is possible" if decision["text"] is None else repr(decision["text"])
        rows.append(
            (str(decision["step"] + 1), f"{last['left']} of {model['left']}",
             "" if likely is None else f"{likely:.3f}", text)
        )  # fmt: skip
    print_table(rows, left=0)
