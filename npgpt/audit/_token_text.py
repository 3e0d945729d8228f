"""Token text: what a token is called in readings, tables and messages."""

from __future__ import annotations

from collections.abc import Sequence

from npgpt._gpt import GPT
from npgpt._quoting import LONGEST
from npgpt.errors import TokenizerError
from npgpt.tokenizer._pieces import piece, pieces


def label(gpt: GPT, token: int) -> str:
    """A token as `pieces.piece` shows it, cut where long, or its id where it has no text."""
    try:
        shown = str(token) if gpt.tokenizer is None else piece(gpt.tokenizer, token)
    except TokenizerError:  # the rows of some models' embeddings are more than their tokens
        return str(token)
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


def texts(gpt: GPT, tokens: Sequence[int]) -> list[str | None] | None:
    """Tokens as `tokenizer.pieces` has them for JSON, None for one that the tokenizer lacks."""
    return None if gpt.tokenizer is None else [text_of(gpt, token) for token in tokens]


def text_of(gpt: GPT, token: int) -> str | None:
    """One token of `texts`; None without a tokenizer."""
    try:
        texts = pieces(gpt.tokenizer, [token])
    except TokenizerError:
        return None
    return None if texts is None else texts[0]


def described(gpt: GPT, token: int) -> str:
    """A token with its id, for a line of text."""
    shown = label(gpt, token)
    return f"id {token}" if shown == str(token) else f"{shown} (id {token})"
