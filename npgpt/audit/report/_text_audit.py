"""Audit of a text: one recorded pass, all readings of it, and decisions of the decoder after it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from npgpt._gpt import GPT
from npgpt._prompt import Prompt
from npgpt._versions import versions
from npgpt.audit.report import _page as html_page
from npgpt.audit.report._decisions import decisions
from npgpt.audit.report._facts import facts
from npgpt.audit.report._readings import Readings, read
from npgpt.audit.report._recording import Recording, recorded
from npgpt.errors import ContextLengthError, NonFiniteError, PromptError, TokenizerError
from npgpt.model._parameters import to_arrays

_NEW_TOKENS = 5  # whose decisions are shown, where nothing else is asked for
_SIZES = ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size")


@dataclass(frozen=True, eq=False)
class Audit:
    """A recorded pass, its readings as arrays, and all of it as plain data.

    facts: `report.facts.facts`, and beside it prompt, model, versions; decisions as
    `report.decisions.decisions` has them, or None with no_decisions saying why.
    """

    recording: Recording
    readings: Readings
    facts: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether every number recomputes, and recording changed no bit of the logits."""
        return bool(self.facts["verified"]["ok"])

    def page(self) -> str:
        """The report as one HTML page that needs nothing else."""
        return html_page.page(self.facts, self.recording)


def audit(
    gpt: GPT,
    prompt: Prompt,
    *,
    name: str = "a model",
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Audit:
    """Read one pass over a prompt, check that every number of it recomputes, and go on a little.

    name: what the report calls the model. settings: of the decoder that says how the text goes on.
    """
    of = recorded(gpt, prompt)
    decided = _decided(gpt, of, dict(settings or {}), seed)  # first, as settings may be wrong
    readings = read(of, gpt.logits(of.tokens))
    return Audit(of, readings, {**_about(gpt, of, name), **facts(of, readings), **decided})


def _about(gpt: GPT, of: Recording, name: str) -> dict[str, Any]:
    ids = of.tokens[0].tolist()
    # A head that is wte itself is counted once.
    sizes = {id(array): array.size for array in to_arrays(gpt.parameters).values()}
    return {
        "prompt": _text(gpt, ids),
        "model": {
            "name": name,
            "parameters": sum(sizes.values()),
            "config": {name: getattr(gpt.config, name) for name in _SIZES},
            "dtype": np.dtype(gpt.parameters.dtype).name,
        },
        "versions": versions(),
    }


def _text(gpt: GPT, ids: list[int]) -> str:
    """What the ids say; the ids themselves where no tokenizer knows them all."""
    with suppress(TokenizerError):
        if gpt.tokenizer is not None:
            return gpt.tokenizer.decode(ids)
    return " ".join(map(str, ids))


def _decided(gpt: GPT, of: Recording, given: dict[str, Any], seed: int) -> dict[str, Any]:
    room = gpt.config.n_positions - of.tokens.shape[1]
    if not room and not given:
        why = f"The text fills the context of {gpt.config.n_positions} tokens: nothing can follow."
        return {"decisions": None, "no_decisions": why}
    if not given.keys() & {"max_length", "max_new_tokens"}:
        given = given | {"max_new_tokens": min(_NEW_TOKENS, room)}
    try:
        generation = gpt.generate(of.tokens, seed=seed, **given, output_ledger=True)
    except ContextLengthError:  # more was asked for than fits
        raise
    # NaN, or ids that are not the tokenizer's: of these the audit is to tell the rest.
    except (NonFiniteError, PromptError, TokenizerError) as error:
        return {"decisions": None, "no_decisions": f"There is no decision: {error}."}
    return {"decisions": decisions(gpt, generation, given, seed, of.name)}
