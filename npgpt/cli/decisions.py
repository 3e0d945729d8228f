"""The decisions of a decoder as `npgpt audit` tells them: also which tokens each stage removed."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npgpt.cli.explain import SHOWN, ledger_data
from npgpt.decoding.generation import Generation
from npgpt.decoding.ledger import Decision
from npgpt.gpt import GPT
from npgpt.ops.softmax import softmax


def decisions(
    gpt: GPT,
    found: Generation,
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
    made = found.ledger.decisions if found.ledger else ()
    ledger = [
        _told(decision, data, name)
        for decision, data in zip(made, ledger_data(gpt, found), strict=True)
    ]
    return {
        "decoder": found.decoder,
        "seed": seed,
        "settings": given,
        "rows": len(found.sequences),
        "text": found.texts[0] if found.texts and len(found.texts) == 1 else None,
        "decisions": len(ledger),
        "ledger": ledger,
    }


def _told(decision: Decision, data: dict[str, Any], name: Callable[[int], str]) -> dict[str, Any]:
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
    told = {field: value for field, value in data.items() if field != "piece"}
    told |= {"text": None, "probability": None, "stages": stages}
    if decision.token is not None:
        told["text"] = name(decision.token)
        stage, scores = list(decision.stages.items())[-1]
        if stage != "contrastive":  # its scores are no logarithms
            told["probability"] = float(softmax(scores.astype(np.float64))[decision.token])
    return told
