"""Recorded pass: every activation of one pass over one text, and how its tokens are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from npgpt._arrays import Tokens
from npgpt._config import Config
from npgpt._gpt import GPT
from npgpt._prompt import Prompt
from npgpt.audit._token_text import text_of
from npgpt.model._parameters import Parameters
from npgpt.trace import Recorder


class Recording(NamedTuple):
    """One recorded pass over one text: everything of it, without a past.

    tokens (1, n); name: what a token is called, by its id.
    """

    trace: Recorder
    tokens: Tokens
    parameters: Parameters
    config: Config
    name: Callable[[int], str]


def recorded(gpt: GPT, prompt: Prompt) -> Recording:
    """One pass over a prompt with everything recorded.

    Tokens are called by their texts. Where the tokenizer lacks one it is called by its id, with a
    word that tells it from a text of digits.
    """
    tokens = gpt.tokens(prompt)

    def name(token: int) -> str:
        return str(token) if gpt.tokenizer is None else text_of(gpt, token) or f"id {token}"

    return Recording(gpt.trace(tokens), tokens, gpt.parameters, gpt.config, name)
