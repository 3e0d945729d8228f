"""An audit of the small model, as `npgpt audit` makes one."""

import dataclasses
from typing import Any

import numpy as np

from npgpt._gpt import GPT
from npgpt._prompt import Prompt
from npgpt.audit.report._recording import Recording
from npgpt.audit.report._text_audit import audit
from tests.helpers.small_gpt import CONFIG, TOKENIZER, parameters

LONGER = dataclasses.replace(CONFIG, n_positions=80)  # for texts of single bytes


def audited(prompt: Prompt, gpt: GPT | None = None) -> tuple[str, dict[str, Any], Recording]:
    """The page of an audit of it, the facts on the page, and the pass that they are of."""
    gpt = gpt or GPT(LONGER, parameters(LONGER), TOKENIZER)
    settings = {"do_sample": True, "top_k": 9, "max_new_tokens": 2}
    made = audit(gpt, prompt, name="small", settings=settings)
    return made.page(), dict(made.facts), made.recording


def odd_gpts() -> dict[str, GPT]:
    """Models that leave gaps in a report: a NaN in every logit, no layer."""
    sound = parameters(LONGER)
    bias = np.where(np.arange(LONGER.n_embd) == 3, np.nan, sound.ln_f.bias).astype(np.float32)
    nan = dataclasses.replace(sound, ln_f=dataclasses.replace(sound.ln_f, bias=bias))
    flat = dataclasses.replace(LONGER, n_layer=0)
    return {
        "nan": GPT(LONGER, nan, TOKENIZER),
        "flat": GPT(flat, parameters(flat), TOKENIZER),
    }
