"""The ledger of a run as tables, and as data."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from npgpt.arrays import Array
from npgpt.audit.token_text import label
from npgpt.cli.output import print_table
from npgpt.decoding.generation import Generation
from npgpt.decoding.ledger import Decision
from npgpt.gpt import GPT
from npgpt.ops.softmax import softmax

SHOWN = 5  # tokens of a stage in a table
LISTED = 20  # tokens of a stage in data


def print_ledger(gpt: GPT, found: Generation) -> None:
    """Print each decision: its stages, what each one left and removed, and what was chosen."""
    print(f"decoder: {found.decoder}")
    shown: Any = None
    for decision in found.ledger.decisions if found.ledger else ():
        place = (decision.row, decision.step, decision.parent)
        if place != shown:
            print(f"\n{_place(decision)}")
            print_table([("stage", "left", "removed", "likeliest"), *_rows(gpt, decision)], left=1)
            shown = place
        print(f"-> {_outcome(gpt, decision)}")


def ledger_data(gpt: GPT, found: Generation) -> list[dict[str, Any]]:
    """The decisions as data for JSON, with the likeliest `LISTED` tokens of each stage."""
    return [_data(gpt, decision) for decision in found.ledger.decisions] if found.ledger else []


def _place(decision: Decision) -> str:
    beam = "" if decision.parent is None else f", beam {decision.parent}"
    return f"row {decision.row}, new token {decision.step + 1}{beam}"


def _rows(gpt: GPT, decision: Decision) -> Iterator[tuple[str, ...]]:
    for name, scores in decision.stages.items():
        candidates, removed = decision.candidates(name), decision.removed(name)
        likely = _probabilities(name, scores)
        top = candidates[:SHOWN].tolist()
        words = [f"{label(gpt, token)} {likely[token]:.3f}" for token in top]
        yield name, str(len(candidates)), str(len(removed)), "  ".join(words)


def _outcome(gpt: GPT, decision: Decision) -> str:
    if decision.token is None:
        return "nothing is possible, so the row ends"
    parts = [f"{label(gpt, decision.token)} (id {decision.token})"]
    if decision.proposed is not None:
        word = "as" if decision.proposed == decision.token else "not"
        parts.append(f"{word} guessed ({label(gpt, decision.proposed)})")
    if decision.uniform is not None:
        parts.append(f"drawn with {decision.uniform:.6f}")
    if decision.total is not None:
        parts.append(f"sum {decision.total:.4f}")
    if decision.parent is not None and decision.beam is not None:
        parts.append(f"now beam {decision.beam}")
    if decision.stopped is not None:
        parts.append(f"ends: {decision.stopped}")
    return ", ".join(parts)


def _data(gpt: GPT, decision: Decision) -> dict[str, Any]:
    stages = []
    for name, scores in decision.stages.items():
        candidates, removed = decision.candidates(name), decision.removed(name)
        likely = _probabilities(name, scores)
        top = [
            {"token": token, "piece": label(gpt, token), "score": float(scores[token]),
             "probability": None if name == "contrastive" else float(likely[token])}
            for token in candidates[:LISTED].tolist()
        ]  # fmt: skip
        stages.append(
            {"stage": name, "left": len(candidates), "removed": len(removed), "likeliest": top}
        )
    plain = ("row", "step", "parent", "beam", "token", "uniform", "proposed", "total", "stopped")
    fields = {name: getattr(decision, name) for name in plain}
    return fields | {
        "piece": None if decision.token is None else label(gpt, decision.token),
        "stages": stages,
    }


def _probabilities(stage: str, scores: Array) -> Array:
    """What scores stand for: shares of the whole. Contrastive scores are no logarithms."""
    return scores if stage == "contrastive" else softmax(scores.astype(np.float64))
