"""Prompts: a text, several texts, or token ids, as rows of token ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from npgpt._arrays import Mask, Tokens
from npgpt._quoting import brief, kind
from npgpt.decoding._prompts import token_rows
from npgpt.decoding._scoring import Rows
from npgpt.errors import PromptError
from npgpt.model._inputs import checked_tokens
from npgpt.tokenizer._encoding import Tokenizer
from npgpt.tokenizer._special import Allowed

# A text, several texts, one row of token ids, or several rows.
Prompt: TypeAlias = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] | Tokens


def prompt_rows(
    prompt: Prompt,
    tokenizer: Tokenizer | None,
    mask: Mask | None = None,
    *,
    allowed_special: Allowed = frozenset(),
) -> Rows:
    """Rows of token ids, each as long as it is: without the columns that `mask` calls padding.

    Special tokens in a text are tokens where `allowed_special` names them, as in
    `Tokenizer.encode`. Raises PromptError for an empty text, a text without a tokenizer, and a mask
    of another shape.

    >>> prompt_rows([[5, 6], [0, 7]], None, np.array([[True, True], [False, True]]))
    ((5, 6), (7,))
    """
    _check_kind(prompt)
    texts = [prompt] if isinstance(prompt, str) else prompt
    is_text = isinstance(texts, (list, tuple)) and any(isinstance(text, str) for text in texts)
    rows = token_rows(
        [_encode(text, tokenizer, allowed_special) for text in texts] if is_text else prompt
    )
    if mask is None:
        return rows
    tokens, real = checked_tokens(rectangle(rows), mask)
    return token_rows([row[keep] for row, keep in zip(tokens, real, strict=True)])


def rectangle(rows: Rows) -> Tokens:
    """Rows as long as each other as an array (batch, query); PromptError where they are not."""
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise PromptError(f"the rows have {lengths} tokens; pad them to one length, with a mask")
    return np.array(rows)


def require_tokenizer(tokenizer: Tokenizer | None) -> Tokenizer:
    """The tokenizer; PromptError where the checkpoint has none."""
    if tokenizer is None:
        raise PromptError(
            "the checkpoint has no tokenizer files; give token ids, not text, or a tokenizer"
        )
    return tokenizer


def _check_kind(prompt: object) -> None:
    """Raise PromptError, saying what to give, for what is often given instead of a prompt."""
    if prompt is None:
        raise PromptError("the prompt is None; give a text, or token ids")
    if isinstance(prompt, (bytes, bytearray)):
        raise PromptError(f"the prompt is bytes, {brief(prompt)}; give a text: decode them first")
    if isinstance(prompt, Iterator):
        raise PromptError(f"the prompt is {kind(prompt)}, read once only; give a list of it")
    if isinstance(prompt, (set, frozenset, Mapping)):
        raise PromptError(f"the prompt is {brief(prompt)}, which has no order; give a list")
    if isinstance(prompt, (list, tuple)):
        texts = [item for item in prompt if isinstance(item, str)]
        others = [item for item in prompt if not isinstance(item, str)]
        if texts and others:
            raise PromptError(
                f"the prompt holds texts and other things, such as {brief(texts[0])} and "
                f"{brief(others[0])}; give texts alone, or token ids alone"
            )


def _encode(text: object, tokenizer: Tokenizer | None, allowed_special: Allowed) -> list[int]:
    if not isinstance(text, str) or not text:
        start = tokenizer.end_of_text if tokenizer is not None else None
        how = "" if start is None else f", or [{start}], the end-of-text id, to start from nothing"
        raise PromptError(f"the prompt is {text!r}; give a text of at least one character{how}")
    return require_tokenizer(tokenizer).encode(text, allowed_special=allowed_special)
