"""Ledger of a run as tables, which `npgpt generate --explain` prints."""

from collections.abc import Iterator
from typing import Any

from npgpt._cli.output import print_table
from npgpt._gpt import GPT
from npgpt.audit._token_text import label
from npgpt.audit.report._decisions import SHOWN, stage_probabilities
from npgpt.decoding._generation import Generation
from npgpt.decoding._run import Decision


def print_ledger(gpt: GPT, generation: Generation) -> None:
    """Print each decision: its stages, what each one left and removed, and what was chosen."""
    print(f"decoder: {generation.decoder}")
    shown: Any = None
    for decision in generation.ledger.decisions if generation.ledger else ():
        place = (decision.row, decision.step, decision.parent)
        if place != shown:
            print(f"\n{_place(decision)}")
            print_table([("stage", "left", "removed", "likeliest"), *_rows(gpt, decision)], left=1)
            shown = place
        print(f"-> {_outcome(gpt, decision)}")


def _place(decision: Decision) -> str:
    beam = "" if decision.parent is None else f", beam {decision.parent}"
    return f"row {decision.row}, new token {decision.step + 1}{beam}"


def _rows(gpt: GPT, decision: Decision) -> Iterator[tuple[str, ...]]:
    for name, scores in decision.stages.items():
        candidates, removed = decision.candidates(name), decision.removed(name)
        likely = stage_probabilities(name, scores)
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
