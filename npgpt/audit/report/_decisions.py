"""Decisions of a decoder as data: its ledger, and which tokens each stage removed."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npgpt._arrays import Array
from npgpt._gpt import GPT
from npgpt.audit._token_text import label
from npgpt.decoding._generation import Generation
from npgpt.decoding._run import Decision
from npgpt.decoding._scoring import NOT_LOGARITHMS
from npgpt.ops._softmax import softmax

SHOWN = 5  # tokens of a stage in a table
LISTED = 20  # tokens of a stage in data


def decisions(
    gpt: GPT,
    generation: Generation,
    given: dict[str, Any],
    seed: int,
    name: Callable[[int], str],
) -> dict[str, Any]:
    """What was decided, and how: a run with a ledger, the settings and the seed given for it.

    name: what a token is called.

    ledger: as `npgpt generate --explain --json` has it, but with texts in place of pieces, and of
    each stage the likeliest `SHOWN` tokens that are left and, likelier first, that it removed;
    probability: the token's share of the last stage.
    """
    made = generation.ledger.decisions if generation.ledger else ()
    ledger = [
        _with_removed(decision, data, name)
        for decision, data in zip(made, ledger_data(gpt, generation), strict=True)
    ]
    return {
        "decoder": generation.decoder,
        "seed": seed,
        "settings": given,
        "rows": len(generation.sequences),
        "text": generation.texts[0] if generation.texts and len(generation.texts) == 1 else None,
        "decisions": len(ledger),
        "ledger": ledger,
    }


def _with_removed(
    decision: Decision, data: dict[str, Any], name: Callable[[int], str]
) -> dict[str, Any]:
    before = None
    stages = []
    for stage in data["stages"]:
        gone = decision.removed(stage["stage"])
        if before is not None:  # the likelier first, of equally likely ones the lower id
            gone = gone[np.argsort(-decision.stages[before][gone], kind="stable")]
        left = [
            {"id": t["token"], "text": name(t["token"]), "score": t["score"],
             "probability": t["probability"]}
            for t in stage["likeliest"][:SHOWN]
        ]  # fmt: skip
        removed = [{"id": t, "text": name(t)} for t in gone[:SHOWN].tolist()]
        stages.append(stage | {"likeliest": left, "likeliest_removed": removed})
        before = stage["stage"]
    fields = {field: value for field, value in data.items() if field != "piece"}
    fields |= {"text": None, "probability": None, "stages": stages}
    if decision.token is not None:
        fields["text"] = name(decision.token)
        stage, scores = list(decision.stages.items())[-1]
        if stage not in NOT_LOGARITHMS:
            fields["probability"] = float(softmax(scores.astype(np.float64))[decision.token])
    return fields


def ledger_data(gpt: GPT, generation: Generation) -> list[dict[str, Any]]:
    """The decisions as data for JSON, with the likeliest `LISTED` tokens of each stage."""
    return (
        [_data(gpt, decision) for decision in generation.ledger.decisions]
        if generation.ledger
        else []
    )


def _data(gpt: GPT, decision: Decision) -> dict[str, Any]:
    stages = []
    for name, scores in decision.stages.items():
        candidates, removed = decision.candidates(name), decision.removed(name)
        likely = stage_probabilities(name, scores)
        top = [
            {"token": token, "piece": label(gpt, token), "score": float(scores[token]),
             "probability": None if name in NOT_LOGARITHMS else float(likely[token])}
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


def stage_probabilities(stage: str, scores: Array) -> Array:
    """What scores stand for: shares of the whole. Contrastive scores are no logarithms."""
    return scores if stage in NOT_LOGARITHMS else softmax(scores.astype(np.float64))
